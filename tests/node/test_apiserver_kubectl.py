"""Real kubectl, the machine's and Debian's 1.20, against kube-apiserver over TLS with client certificates."""

import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kubectl.versions import DEBIAN, NotToBeHad, fetched
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, etcd_server, free_port

MANIFEST = """
apiVersion: v1
kind: ReplicationController
metadata: {name: redis-master, labels: {name: redis-master}}
spec:
  replicas: 1
  selector: {name: redis-master}
  template:
    metadata: {labels: {name: redis-master}}
    spec: {containers: [{name: master, image: redis, ports: [{containerPort: 6379}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: redis-master, labels: {name: redis-master}}
spec: {clusterIP: 10.0.0.11, ports: [{port: 6379, targetPort: 6379}], selector: {name: redis-master}}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {containers: [{name: a, image: toolbox}, {name: b, image: toolbox}]}
"""


def installed() -> str:
    return shutil.which("kubectl") or pytest.skip("no kubectl on PATH: apt-get install kubernetes-client")


def debians() -> str:
    """Debian's kubernetes-client, unpacked into the cache."""
    try:
        return str(fetched(DEBIAN))
    except NotToBeHad as reason:
        pytest.skip(str(reason))


class FakeKubelet(http.server.BaseHTTPRequestHandler):
    """Serves logs as the kubelet does; which certificate asked is part of the answer."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        who = dict(pair[0] for pair in self.connection.getpeercert()["subject"])["commonName"]  # type: ignore[attr-defined]
        if path.endswith("/broken"):
            self.send_error(400, "container broken is waiting to start")
            return
        body = f"{path} {query} for {who}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("kubectl")
    (folder / "etcd-ca").mkdir()
    (folder / "ca").mkdir()
    authority, port = Authority(folder / "ca"), free_port()
    with (
        etcd_server(folder, Authority(folder / "etcd-ca")) as etcd,
        api_server(folder, etcd, authority, kubelet_port=port) as server,
        fake_kubelet(authority, port),
    ):
        yield server


@contextmanager
def fake_kubelet(authority: Authority, port: int) -> Iterator[None]:
    kubelet = http.server.ThreadingHTTPServer(("127.0.0.1", port), FakeKubelet)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.load_cert_chain(*authority.issue("agent1"))
    context.verify_mode = ssl.CERT_REQUIRED
    kubelet.socket = context.wrap_socket(kubelet.socket, server_side=True)
    thread = threading.Thread(target=kubelet.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        kubelet.shutdown()
        kubelet.server_close()
        thread.join(5)


Kubectl = Callable[..., str]


@pytest.fixture(params=[installed, debians], ids=["installed", "debian"])
def kubectl(request: pytest.FixtureRequest, server: ApiServer, tmp_path: Path) -> Iterator[Kubectl]:
    """`kubectl("get", "pods")` -> what it prints; a `code` other than 0 has to be expected."""
    binary, config = request.param(), server.kubeconfig("admin", "system:masters")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(config), "KUBE_EDITOR": "true"}

    def run(*arguments: str, input: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [binary, *arguments], input=input, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == code, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    run.popen = lambda *arguments: subprocess.Popen(  # type: ignore[attr-defined]
        [binary, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
    yield run
    for kind in ("rc", "pods", "events", "nodes"):
        run("delete", kind, "--all", "--grace-period=0", "--force", "--cascade=background")
    run("delete", "svc", "-l", "name", "--ignore-not-found")


@pytest.fixture
def redis(kubectl: Kubectl) -> None:
    created = kubectl("create", "-f", "-", input=MANIFEST)
    assert created.splitlines() == [
        "replicationcontroller/redis-master created", "service/redis-master created", "pod/client created"]  # fmt: skip


@pytest.mark.usefixtures("redis")
class TestTheLabsCommands:
    def test_get_in_all_outputs(self, kubectl: Kubectl) -> None:
        assert kubectl("get", "rc").split()[:4] == ["NAME", "DESIRED", "CURRENT", "READY"]
        assert "10.0.0.11" in kubectl("get", "svc", "redis-master")
        assert "NODE" in kubectl("get", "pods", "-o", "wide")
        assert json.loads(kubectl("get", "pod", "client", "-o", "json"))["spec"]["restartPolicy"] == "Always"
        assert "clusterIP: 10.0.0.11" in kubectl("get", "svc", "redis-master", "-o", "yaml")
        assert kubectl("get", "svc", "-o", "name").split() == ["service/kubernetes", "service/redis-master"]
        assert kubectl("get", "svc", "-o", "jsonpath={.items[*].spec.clusterIP}") == "10.0.0.1 10.0.0.11"
        columns = "custom-columns=N:.metadata.name,I:.spec.clusterIP"
        assert kubectl("get", "svc", "redis-master", "-o", columns).split() == ["N", "I", "redis-master", "10.0.0.11"]
        everything = kubectl("get", "all")
        for name in ("pod/client", "replicationcontroller/redis-master", "service/redis-master"):
            assert name in everything
        assert "default" in kubectl("get", "pods", "-A")
        assert "client" in kubectl("get", "pods", "--sort-by=.metadata.name", "--show-labels")
        assert kubectl("get", "pods", "-l", "app=nope").startswith("No resources found")
        assert "NotFound" in kubectl("get", "pod", "nope", code=1)

    def test_describe(self, kubectl: Kubectl) -> None:
        assert "Image:" in kubectl("describe", "pod", "client")
        assert "Replicas:" in kubectl("describe", "rc", "redis-master")
        assert "10.0.0.11" in kubectl("describe", "svc", "redis-master")
        assert "Status:" in kubectl("describe", "ns", "default")

    def test_change(self, kubectl: Kubectl) -> None:
        kubectl("scale", "rc", "redis-master", "--replicas=3")
        assert kubectl("get", "rc", "redis-master", "-o", "jsonpath={.spec.replicas}") == "3"
        kubectl("scale", "rc", "redis-master", "--current-replicas=3", "--replicas=2")
        kubectl("label", "pod", "client", "tier=front")
        kubectl("annotate", "pod", "client", "note=x")
        assert kubectl("get", "pods", "-l", "tier in (front)", "-o", "name").split() == ["pod/client"]
        kubectl("label", "pod", "client", "tier-")
        kubectl("patch", "rc", "redis-master", "-p", '{"spec":{"replicas":5}}')
        assert kubectl("get", "rc", "redis-master", "-o", "jsonpath={.spec.replicas}") == "5"
        kubectl("expose", "rc", "redis-master", "--name=exposed", "--port=80", "-l", "name=exposed")
        replaced = kubectl("get", "rc", "redis-master", "-o", "yaml").replace("replicas: 5", "replicas: 1")
        kubectl("replace", "-f", "-", input=replaced)
        kubectl("edit", "rc", "redis-master")

    def test_apply(self, kubectl: Kubectl) -> None:
        manifest = MANIFEST.split("---")[0].replace("redis-master", "applied")
        assert "created" in kubectl("apply", "-f", "-", input=manifest)
        assert "configured" in kubectl("apply", "-f", "-", input=manifest.replace("replicas: 1", "replicas: 4"))
        assert "unchanged" in kubectl("apply", "-f", "-", input=manifest.replace("replicas: 1", "replicas: 4"))
        assert kubectl("get", "rc", "applied", "-o", "jsonpath={.spec.replicas}") == "4"

    def test_refusals_read_well(self, kubectl: Kubectl) -> None:
        again = kubectl("create", "-f", "-", input=MANIFEST, code=1)
        assert 'pods "client" already exists' in again
        assert "provided IP is already allocated" in kubectl(
            "create", "-f", "-", input=MANIFEST.split("---")[1].replace("name: redis-master", "name: other"), code=1
        )
        assert "error" in kubectl("get", "nonsense", code=1)

    def test_delete(self, kubectl: Kubectl) -> None:
        assert kubectl("delete", "pod", "client").startswith('pod "client" deleted')
        # the pod is gone already; nobody is here who would take the finalizer of another policy away
        kubectl("delete", "-f", "-", "--cascade=background", input=MANIFEST, code=1)
        assert kubectl("get", "rc,pods").startswith("No resources found")

    def test_watch(self, kubectl: Kubectl) -> None:
        watching = kubectl.popen("get", "pods", "-w")  # type: ignore[attr-defined]
        assert watching.stdout is not None
        assert [watching.stdout.readline().split()[0] for _ in range(2)] == ["NAME", "client"]
        kubectl("label", "pod", "client", "x=y")
        assert watching.stdout.readline().split()[0] == "client"
        watching.terminate()
        watching.wait(5)
        watching.stdout.close()

    def test_logs_come_from_the_kubelet(self, kubectl: Kubectl) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "agent1"},
                "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}  # fmt: skip
        kubectl("create", "-f", "-", input=json.dumps(node))
        assert "does not have a host assigned" in kubectl("logs", "client", "a", code=1)
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "client"}, "target": {"name": "agent1"}}
        kubectl("create", "--validate=false", "-f", "-", input=json.dumps(binding))
        assert kubectl("logs", "client", "b", "--tail=5", "--timestamps") == (
            "/containerLogs/default/client/b tailLines=5&timestamps=true for kube-apiserver-kubelet-client\n"
        )
        assert "/client/a follow=true" in kubectl("logs", "-f", "client", "a")
        assert "container c is not valid for pod client" in kubectl("logs", "client", "-c", "c", code=1)

    def test_namespaces(self, kubectl: Kubectl) -> None:
        kubectl("create", "namespace", "other")
        kubectl("create", "-n", "other", "-f", "-", input=MANIFEST.split("---")[2])
        assert kubectl("get", "pods", "-n", "other", "-o", "name").split() == ["pod/client"]
        kubectl("delete", "pod", "client", "-n", "other")
        kubectl("delete", "ns", "other", "--wait=false")
        assert "Terminating" in kubectl("get", "ns", "other")
        ending = json.loads(kubectl("get", "ns", "other", "-o", "json"))
        finalized = json.dumps(ending | {"spec": {}})  # nobody else does it: no namespace controller runs here
        kubectl("replace", "--raw", "/api/v1/namespaces/other/finalize", "-f", "-", input=finalized)
        kubectl("delete", "ns", "other")
        assert "other" not in kubectl("get", "ns")


def test_what_clients_ask_first(kubectl: Kubectl) -> None:
    assert "v1" in kubectl("api-versions").split()
    assert "replicationcontrollers" in kubectl("api-resources")
    assert "Server Version" in kubectl("version")
    assert kubectl("get", "--raw", "/healthz") == "ok"
    kubectl("cluster-info")


def test_discovery_is_asked_once(kubectl: Kubectl) -> None:
    kubectl("get", "pods")
    asked = kubectl("get", "pods", "-v=6")
    assert [line for line in asked.splitlines() if "GET https" in line and "/pods" not in line] == []
