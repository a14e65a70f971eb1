"""What the three Python clients are driven against, once for all of them: kube-apiserver over TLS as machines run it
(certificates and tokens, every admission plugin), etcd, the controllers, a kubelet on docker, and a pod."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kubernetes
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.node.apiserver import ApiServer
from tests.node.one_node import SHELL, OneNode, container, one_node, pod, until
from tests.node.real_etcd import free_port

NODE = f"python-clients-{os.getpid()}"
TOKEN = secrets.token_hex(16)
ADMISSION = "NamespaceLifecycle,NamespaceExists,LimitRanger,ServiceAccount,NodeRestriction,ResourceQuota"
SERVES = "httpd -p 127.0.0.1:8081 -h /etc; httpd -p 8080 -h /etc; exec nc -ll -p 7000 -e cat"


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    folder = tmp_path_factory.mktemp("python-clients")
    tokens, key = folder / "tokens.csv", folder / "service-accounts.key"
    tokens.write_text(f'{TOKEN},robot,1,"system:masters"\n')
    tokens.chmod(0o600)
    private = ec.generate_private_key(ec.SECP256R1())
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    flags = (
        f"--token-auth-file={tokens}", f"--service-account-key-file={key}", f"--admission-control={ADMISSION}",
        "--tls-client-auth=optional",
    )  # fmt: skip
    with one_node(folder, NODE, flags=flags) as node, controllers(node.server, key):
        yield node


@contextlib.contextmanager
def controllers(server: ApiServer, key: Path) -> Iterator[None]:
    config = server.kubeconfig("controllers", "system:masters")
    with (server.folder / "controllers.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "labkit.components.kube_controller_manager", f"--kubeconfig={config}",
             f"--port={free_port()}", f"--service-account-private-key-file={key}", "--resource-quota-sync-period=1s",
             f"--root-ca-file={server.authority.ca}"], stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield
        assert process.poll() is None, (server.folder / "controllers.log").read_text()[-3000:]
    finally:
        process.kill()
        process.wait(5)


@pytest.fixture(scope="session")
def configs(node: OneNode) -> dict[str, str]:
    """Kubeconfig files by what they show: a `certificate`, or a `token` alone."""
    by_certificate = node.server.kubeconfig("admin", "system:masters")
    document = json.loads(by_certificate.read_text())
    document["users"][0]["user"] = {"token": TOKEN}
    by_token = node.server.folder / "token.kubeconfig"
    by_token.write_text(json.dumps(document))
    return {"certificate": str(by_certificate), "token": str(by_token)}


@pytest.fixture(params=["certificate", "token"])
def config(request: pytest.FixtureRequest, configs: dict[str, str]) -> str:
    chosen: str = configs[request.param]
    return chosen


@pytest.fixture(scope="session")
def running(node: OneNode, configs: dict[str, str]) -> str:
    """The name of a pod of two containers: `c` prints, `serves` has something to connect to."""
    with kubernetes.config.new_client_from_config(configs["certificate"]) as client:
        api = kubernetes.client.CoreV1Api(client)
        until(lambda: api.list_namespaced_service_account("default").items, "default has its service account")
        serves = container("serves", ["sh", "-c", SERVES], ports=[{"containerPort": 8080, "name": "http"}])
        api.create_namespaced_pod("default", pod(NODE, "runs", container("c", ["sh", "-c", SHELL]), serves))

        def ready() -> bool:
            found = api.read_namespaced_pod("runs", "default").status.conditions or []
            return any(one.type == "Ready" and one.status == "True" for one in found)

        until(ready, "the pod is ready")
    return "runs"
