"""Real kubectl asks for tokens of service accounts and uses them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.memory import Memory
from labkit.trace import Tracer
from tests.node.real_etcd import Authority
from tests.node.test_apiserver_kubectl import installed
from tests.node.test_kubectl_kinds import Kubectl


@pytest_asyncio.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    """With a server that signs, over TLS: kubectl sends no token without it. Its own configuration is an admin's."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "tokens").write_text("admin,admin,1,system:masters\n")
    policy = tmp_path / "abac.jsonl"
    policy.write_text('{"user": "system:serviceaccount:default:robot", "resource": "pods", "readonly": true}\n')
    authority = Authority(tmp_path)
    certificate, certificate_key = authority.issue("kube-apiserver")
    settings = Settings(
        tls_cert_file=str(certificate), tls_private_key_file=str(certificate_key), client_ca_file=str(authority.ca),
        tls_client_auth="optional", token_auth_file=str(tmp_path / "tokens"),
        service_account_key_file=str(tmp_path / "key"), service_account_signing_key_file=str(tmp_path / "key"),
        authorization_mode="ABAC", authorization_policy_file=str(policy),
    )  # fmt: skip
    config = {
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"certificate-authority": str(authority.ca), "server": "https://set"}}],
        "users": [{"name": "u", "user": {"token": "admin"}}],
    }  # fmt: skip
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(json.dumps(config))
    async with Server(Memory(), settings, Tracer("kube-apiserver")) as server:
        await server.start()
        yield Kubectl(installed(), tmp_path, server.base_url)


async def test_create_token(kubectl: Kubectl) -> None:
    assert 'serviceaccounts "robot" not found' in await kubectl("create", "token", "robot", code=1)
    await kubectl("create", "serviceaccount", "robot")
    token = (await kubectl("create", "token", "robot")).strip()
    assert await kubectl("get", "pods", f"--token={token}") == "No resources found in default namespace.\n"
    assert "cannot list resource" in await kubectl("get", "secrets", f"--token={token}", code=1)

    lasting = json.loads(await kubectl("create", "token", "robot", "--duration=20m", "--audience=vault", "-o", "json"))
    claims = jwt.decode(lasting["status"]["token"], options={"verify_signature": False})
    assert (claims["exp"] - claims["iat"], claims["aud"]) == (1200, ["vault"])
    told = await kubectl("get", "pods", f"--token={lasting['status']['token']}", code=1)
    assert "Unauthorized" in told or "must be logged in" in told

    assert "may not specify a duration less than 10 minutes" in await kubectl(
        "create", "token", "robot", "--duration=1m", code=1
    )
    await kubectl("create", "secret", "generic", "tie")
    bound = ("--bound-object-kind=Secret", "--bound-object-name=tie")
    tied = (await kubectl("create", "token", "robot", *bound)).strip()
    assert await kubectl("get", "pods", f"--token={tied}") == "No resources found in default namespace.\n"
    await kubectl("delete", "secret", "tie")
    assert "logged in" in await kubectl("get", "pods", f"--token={tied}", code=1)
