"""From bearer tokens to users."""

from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from labkit.api import service_accounts as words
from labkit.api.types import ObjectMeta, Secret, ServiceAccount
from labkit.components.kube_apiserver.account_tokens import Expected, of_service_accounts, verifier
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings, SettingsError
from labkit.components.kube_apiserver.tokens import TokenError, bearer, of_file, read_tokens
from labkit.storage.memory import Memory
from labkit.trace import Tracer
from tests.unit.components.kube_apiserver.admission.view import Literals

P256, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
ACCOUNT = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="team", uid="u1"))

EXPECTED = Expected("https://here", ["https://here"])


def public(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signed(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = P256, **changed: str) -> str:
    return signed_claims(words.claims(ACCOUNT, "robot-token-1") | changed, key)


def signed_claims(claims: dict[str, Any], key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = P256) -> str:
    return jwt.encode(claims, key, algorithm="RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")


def secret(token: str) -> Secret:
    meta = ObjectMeta(name="robot-token-1", namespace="team")
    return Secret(metadata=meta, type=words.SECRET_TYPE, data={"token": token.encode()})


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("", ""), ("Bearer", "")],
)
def test_header(header: str, token: str) -> None:
    assert bearer(header) == token


def test_token_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text('t1,alice,1\n\nt2,bob,2,"dev, ops"\n')
    authenticate = of_file(read_tokens(file))
    assert authenticate("t1") == User("alice")
    assert authenticate("t2") == User("bob", ("dev", "ops"))
    assert authenticate("t3") == User()


@pytest.mark.parametrize("line", ["t1", "t1,alice", ",alice,1", "t1,alice,1,g,h"])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text(f"t0,root,0\n{line}\n")
    with pytest.raises(TokenError, match=r"tokens\.csv:2: expected TOKEN,USER,UID"):
        read_tokens(file)


@pytest.mark.parametrize("key", [P256, RSA])
def test_a_service_accounts_token(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    token = signed(key)
    view = Literals([ACCOUNT, secret(token)])
    robot = User("system:serviceaccount:team:robot", ("system:serviceaccounts", "system:serviceaccounts:team"))
    for half in (public(key), private(key)):
        assert of_service_accounts(verifier(half), view, EXPECTED)(token) == robot


@pytest.mark.cis("1.2.21")
def test_a_token_that_is_worth_nothing() -> None:
    token = signed()
    verify = verifier(public(P256))
    reborn = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="team", uid="u2"))
    for objects in ([], [ACCOUNT], [secret(token)], [reborn, secret(token)], [ACCOUNT, secret("another")]):
        assert of_service_accounts(verify, Literals(objects), EXPECTED)(token) == User()
    for false in (
        signed(ec.generate_private_key(ec.SECP256R1())), signed(iss="somebody"), "nonsense", "a.b.c",
        jwt.encode(words.claims(ACCOUNT, "robot-token-1"), None, algorithm="none"),
        jwt.encode(words.claims(ACCOUNT, "robot-token-1"), "x" * 32, algorithm="HS256"),
    ):  # fmt: skip
        view = Literals([ACCOUNT, secret(false)])
        assert of_service_accounts(verify, view, EXPECTED)(false) == User()


@pytest.mark.parametrize("pem", [b"nonsense", public(ec.generate_private_key(ec.SECP384R1()))])  # type: ignore[arg-type]
def test_a_key_that_verifies_nothing(pem: bytes) -> None:
    with pytest.raises(TokenError, match="--service-account-key-file"):
        verifier(pem)


async def test_at_the_server(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text("t1,alice,1\n")
    policy = tmp_path / "abac.jsonl"
    policy.write_text('{"user":"alice","resource":"pods","readonly":true}\n')
    settings = Settings(token_auth_file=str(file), authorization_mode="ABAC", authorization_policy_file=str(policy))
    async with Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True) as server:
        await server.start()
        async with aiohttp.ClientSession() as session:
            for token, path, code in (("t1", "pods", 200), ("t1", "services", 403), ("t2", "pods", 401)):
                headers = {"Authorization": f"Bearer {token}"}
                async with session.get(f"{server.base_url}/api/v1/{path}", headers=headers) as answer:
                    assert answer.status == code


async def test_a_bad_file_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("nonsense")
    for flag in ("token_auth_file", "service_account_key_file"):
        with pytest.raises(SettingsError):
            Server(Memory(), Settings(**{flag: str(file)}), Tracer("t"), insecure=True)  # type: ignore[arg-type]
