"""kubectl exec, attach, cp and port-forward, the machine's kubectl and Debian's 1.20: kube-apiserver and kubelet as
processes, real etcd, real docker."""

import asyncio
import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.components.kubelet.pipes import ConnectionPipe
from labkit.testing.eventually import eventually
from tests.node import one_node as world
from tests.node.one_node import SHELL, Kubectl, OneNode, container, descriptors, one_node, until
from tests.node.pod_images import BUSYBOX
from tests.node.real_etcd import free_port
from tests.node.test_apiserver_kubectl import debians, installed
from tests.spdy_client import SpdyClient

pytestmark = pytest.mark.timeout(120)
NODE = f"streams-test-{os.getpid()}"
SERVES = "httpd -p 8080 -h /etc; exec nc -ll -p 7000 -e cat"


def pod(name: str, *containers: dict[str, object], **fields: object) -> str:
    return json.dumps(world.pod(NODE, name, *containers, **fields))


PODS = (
    pod("p", container("c", ["sh", "-c", SHELL])),
    pod("two", container("a", ["sh", "-c", SHELL]), container("b", ["sh", "-c", SERVES])),
)


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    with one_node(tmp_path_factory.mktemp("streams"), NODE, loop=request.param) as node:
        yield node


@pytest.fixture(params=[installed, debians], ids=["installed", "debian"])
def kubectl(request: pytest.FixtureRequest, node: OneNode, tmp_path: Path) -> Kubectl:
    run = node.kubectl(request.param(), tmp_path)
    for manifest in PODS:
        run("apply", "-f", "-", input=manifest.encode())
    for name in ("p", "two"):
        until(lambda name=name: run("get", "pod", name, "-o", "jsonpath={.status.phase}") == "Running", name)  # type: ignore[misc]
    return run


class TestExec:
    def test_output_and_exit_code(self, kubectl: Kubectl) -> None:
        assert kubectl("exec", "p", "--", "echo", "hello", "there") == "hello there\n"
        assert kubectl("exec", "p", "--", "sh", "-c", "exit 3", code=3) == "command terminated with exit code 3\n"
        assert kubectl("exec", "two", "-c", "b", "--", "hostname") == "two\n"
        done = subprocess.run(
            [kubectl.binary, "exec", "p", "--", "sh", "-c", "echo out; echo err >&2"], env=kubectl.environment,
            capture_output=True, timeout=30, check=True,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == (b"out\n", b"err\n")

    def test_stdin_to_its_end(self, kubectl: Kubectl) -> None:
        assert kubectl("exec", "-i", "p", "--", "cat", input=b"one\ntwo\n") == "one\ntwo\n"
        assert kubectl("exec", "-i", "p", "--", "wc", "-c", input=b"x" * 3_000_000).strip() == "3000000"

    def test_much_output(self, kubectl: Kubectl) -> None:
        assert len(kubectl.raw("exec", "p", "--", "head", "-c", "20000000", "/dev/zero")) == 20_000_000

    def test_a_command_that_does_not_read_its_stdin(self, kubectl: Kubectl) -> None:
        assert kubectl("exec", "-i", "p", "--", "echo", "done", input=b"x" * 2_000_000) == "done\n"

    def test_a_terminal(self, kubectl: Kubectl) -> None:
        ours, theirs = pty.openpty()
        process = kubectl.start("exec", "-it", "p", "--", "sh", stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        try:
            os.write(ours, b"tty; stty size; exit 7\n")
            seen = b""
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 0.5)[0]:
                    try:
                        seen += os.read(ours, 4096)
                    except OSError:
                        break
            assert process.wait(10) == 7, seen
            assert b"/dev/pts/0" in seen
        finally:
            process.kill()
            process.wait(5)
            os.close(ours)

    def test_refusals(self, kubectl: Kubectl) -> None:
        raw = ("--raw", "/api/v1/namespaces/default/pods/two/exec?command=ls")
        told = kubectl("get", *raw, code=1)
        assert "a container name must be specified for pod two, choose one of: [a b]" in told
        assert "x is not valid for pod two" in kubectl("exec", "two", "-c", "x", "--", "ls", code=1).replace(
            "container ", ""
        )
        assert "not found" in kubectl("exec", "nope", "--", "ls", code=1)
        assert "no such file" in kubectl("exec", "p", "--", "/no/such", code=126)
        kubectl("create", "-f", "-", input=pod("late", container("c", ["cat"]), nodeName="").encode())
        assert "pod late does not have a host assigned" in kubectl("exec", "late", "--", "ls", code=1)
        kubectl("delete", "pod", "late", "--grace-period=0", "--force")


class TestAttach:
    def test_what_it_prints_and_reads(self, kubectl: Kubectl) -> None:
        name = f"cat-{os.urandom(4).hex()}"
        manifest = pod(name, container("c", ["cat"], stdin=True), restartPolicy="Never")
        kubectl("create", "-f", "-", input=manifest.encode())
        phase = ("get", "pod", name, "-o", "jsonpath={.status.phase}")
        until(lambda: kubectl(*phase) == "Running", "cat runs")
        process = kubectl.start("attach", "-i", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        time.sleep(1.0)  # what is printed before it is attached is not seen
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"hello\n"
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdout.close()
        until(lambda: kubectl(*phase) == "Succeeded", "cat has ended")
        kubectl("delete", "pod", name)

    def test_run_rm(self, kubectl: Kubectl) -> None:
        overrides = json.dumps({"apiVersion": "v1", "spec": {"nodeName": NODE}})
        words = ("run", "once", "-i", "--rm", f"--image={BUSYBOX}", "--image-pull-policy=Never", "--restart=Never")
        told = kubectl(*words, f"--overrides={overrides}", "--", "sh", "-c", "cat; sleep 1", input=b"text\n")
        assert "text\n" in told
        assert 'pod "once" deleted' in told


class TestCopy:
    def test_in_and_out(self, kubectl: Kubectl, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "big").write_bytes(os.urandom(1_500_000))
        (tmp_path / "in" / "small").write_text("text")
        kubectl("cp", f"{tmp_path}/in", "default/p:/tmp/there")
        kubectl("cp", "default/p:/tmp/there", f"{tmp_path}/out")
        for name in ("big", "small"):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
        kubectl("exec", "p", "--", "sh", "-c", "rm -r /tmp/there 2>/dev/null || true")


@contextlib.contextmanager
def forwarded(kubectl: Kubectl, pod: str, port: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    local = free_port()
    process = kubectl.start("port-forward", pod, f"{local}:{port}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        assert b"Forwarding from 127.0.0.1" in process.stdout.readline()
        yield local, process
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class TestPortForward:
    def test_many_connections(self, kubectl: Kubectl) -> None:
        with forwarded(kubectl, "pod/two", 7000) as (port, _):
            for size in (1, 5, 1_000_000, 3):
                with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                    assert echoed(connection, b"x" * size) == size
            open_ones = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(10)]
            for connection in reversed(open_ones):
                with connection:
                    assert echoed(connection, b"abc") == 3

    def test_nobody_listens(self, kubectl: Kubectl) -> None:
        with forwarded(kubectl, "pod/two", 7999) as (port, process):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(b"x")
                with contextlib.suppress(ConnectionError):
                    assert connection.recv(10) == b""
            assert process.stdout is not None
            told = b""
            while b"error occurred" not in told:
                line = process.stdout.readline()
                assert line, told
                told += line
            assert b"port 7999 of the pod" in told


def echoed(connection: socket.socket, data: bytes) -> int:
    """How many bytes come back."""
    received = 0
    connection.setblocking(False)
    left = memoryview(data)
    while received < len(data):
        readable, writable, _ = select.select([connection], [connection] if left else [], [], 20)
        assert readable or writable, received
        if writable:
            left = left[connection.send(left[:65536]) :]
        if readable:
            received += len(connection.recv(65536))
    return received


class TestProxy:
    def test_to_a_pod_a_service_and_a_node(self, kubectl: Kubectl) -> None:
        path = "/api/v1/namespaces/default"
        assert "nobody" in kubectl("get", "--raw", f"{path}/pods/two:8080/proxy/passwd")
        assert "could not find the requested resource" in kubectl(
            "get", "--raw", f"{path}/pods/two:8080/proxy/nope", code=1
        )
        service = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80, "name": "http"}]}}
        address = kubectl("get", "pod", "two", "-o", "jsonpath={.status.podIP}")
        subset = {"addresses": [{"ip": address}], "ports": [{"port": 8080, "name": "http"}]}
        endpoints = {"metadata": {"name": "web"}, "subsets": [subset]}
        for kind, document in (("Service", service), ("Endpoints", endpoints)):
            document |= {"apiVersion": "v1", "kind": kind}  # type: ignore[dict-item]
            kubectl("apply", "-f", "-", input=json.dumps(document).encode())
        assert "nobody" in kubectl("get", "--raw", f"{path}/services/web:http/proxy/passwd")
        assert "no endpoints available" in kubectl("get", "--raw", f"{path}/services/web:other/proxy/", code=1)
        assert kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/healthz") == "ok"
        assert json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/pods"))["kind"] == "PodList"


class TestCleanUp:
    def test_nothing_is_left_when_the_client_is_killed(self, kubectl: Kubectl, node: OneNode) -> None:
        """Descriptors of both processes go back to where they were, and the command reads the end of its stdin."""
        pids = node.pids
        kubectl("exec", "p", "--", "true")
        time.sleep(0.5)
        before = [descriptors(pid) for pid in pids]
        ones = [
            kubectl.start("exec", "-i", "p", "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            for _ in range(4)
        ]
        until(lambda: kubectl("exec", "p", "--", "ps").count(" cat\n") == 4, "four cats run")
        for one in ones:
            one.send_signal(signal.SIGKILL)
            one.wait(5)
            assert one.stdin is not None
            one.stdin.close()
        until(lambda: " cat\n" not in kubectl("exec", "p", "--", "ps"), "the cats are gone")
        until(lambda: all(descriptors(pid) <= n + 3 for pid, n in zip(pids, before, strict=True)), "descriptors")


class TestChurn:
    async def test_hundreds_of_upgraded_connections_that_break(self, kubectl: Kubectl, node: OneNode) -> None:
        """Both processes live through it on either event loop (uvloop is known to die of some half-closes)."""
        server = node.server
        assert server.process is not None
        before = [descriptors(pid) for pid in node.pids]
        context = server.context("admin", "system:masters")

        async def one(number: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            path = "/api/v1/namespaces/default/pods/two/portforward"
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                "X-Stream-Protocol-Version: portforward.k8s.io\r\nContent-Length: 0\r\n\r\n".encode()
            )
            assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            client = SpdyClient(ConnectionPipe(reader, writer))
            running = asyncio.create_task(client.run())
            told = {"port": "7000", "requestid": "0"}
            await client.open(streamtype="error", **told)
            data = await client.open(streamtype="data", **told)
            await client.write(data, b"x" * 1000, last=number % 3 == 0)
            if number % 2:

                def echoed_all() -> bool:
                    assert len(client.received[data]) == 1000, (number, client.__dict__)
                    return True

                await eventually(echoed_all, within=30)
            writer.transport.abort() if number % 4 < 2 else writer.close()
            await running

        for start in range(0, 320, 4):  # busybox' nc keeps no long queue
            await asyncio.gather(*[one(number) for number in range(start, start + 4)])
        assert server.process.poll() is None
        assert node.kubelet.process is not None
        assert node.kubelet.process.poll() is None

        def let_go() -> bool:
            return all(descriptors(pid) <= n + 3 for pid, n in zip(node.pids, before, strict=True))

        await eventually(let_go, within=30)
