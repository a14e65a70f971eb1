"""logs -f and exec when something goes wrong: kubelet killed, API server stopped, clients killed or slow, floods of
bytes of any kind. Every case ends, and leaves no process and no descriptor; memory stays where it is."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.one_node import Kubectl, OneNode, container, descriptors, one_node, pod, until
from tests.node.test_apiserver_kubectl import installed

pytestmark = pytest.mark.timeout(120)
NODE = f"troubles-{os.getpid()}"
TALKS = "trap 'exit 0' TERM; while true; do echo line; sleep 0.1; done"
MEGABYTES = 1 << 20


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    with one_node(tmp_path_factory.mktemp("troubles"), NODE) as node:
        yield node


@pytest.fixture
def kubectl(node: OneNode, tmp_path: Path) -> Kubectl:

    run = node.kubectl(installed(), tmp_path)
    document = pod(NODE, "talks", container("c", ["sh", "-c", TALKS]), terminationGracePeriodSeconds=0)
    run("apply", "-f", "-", input=json.dumps(document).encode())
    until(lambda: run("get", "pod", "talks", "-o", "jsonpath={.status.phase}") == "Running", "it talks")
    return run


@pytest.fixture
def left_nothing(node: OneNode, kubectl: Kubectl) -> Iterator[None]:
    """After the test both processes have the descriptors that they had, and no command runs on in the container."""
    kubectl("exec", "talks", "--", "true")
    kubectl("logs", "talks", "--tail=1")
    before = [descriptors(pid) for pid in node.pids]
    yield
    until(lambda: " cat\n" not in kubectl("exec", "talks", "--", "ps"), "no command is left")
    until(lambda: all(descriptors(pid) <= n + 4 for pid, n in zip(node.pids, before, strict=True)), "descriptors")


def resident(pid: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def started(kubectl: Kubectl, *words: str) -> subprocess.Popen[bytes]:
    """A kubectl that has printed its first line, or whose command reads its stdin."""
    process = kubectl.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdin is not None
    if words[0] == "exec":
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"hello\n"
    else:
        assert process.stdout.readline() == b"line\n"
    return process


def ended(process: subprocess.Popen[bytes], within: float = 20) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.read()
    code = process.wait(within)
    process.stdin.close()
    process.stdout.close()
    return code


LOGS, EXEC = ("logs", "-f", "talks"), ("exec", "-i", "talks", "--", "cat")


class TestEnds:
    """Whoever goes away: the others end, and all works again afterwards."""

    @pytest.mark.parametrize("words", [LOGS, EXEC], ids=["logs", "exec"])
    def test_the_client_is_killed(self, kubectl: Kubectl, left_nothing: None, words: tuple[str, ...]) -> None:
        clients = [started(kubectl, *words) for _ in range(3)]
        for client in clients:
            client.send_signal(signal.SIGKILL)
        for client in clients:
            ended(client)

    @pytest.mark.parametrize("words", [LOGS, EXEC], ids=["logs", "exec"])
    def test_the_kubelet_is_killed(self, node: OneNode, kubectl: Kubectl, words: tuple[str, ...]) -> None:
        client = started(kubectl, *words)
        node.kubelet.stop()
        ended(client)
        node.kubelet.start()
        until(lambda: kubectl_works(kubectl), "the kubelet is back")
        until(lambda: " cat\n" not in kubectl("exec", "talks", "--", "ps"), "the command has read its end")

    @pytest.mark.parametrize("words", [LOGS, EXEC], ids=["logs", "exec"])
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_the_api_server_goes(
        self, node: OneNode, kubectl: Kubectl, words: tuple[str, ...], number: signal.Signals
    ) -> None:
        kubectl("exec", "talks", "--", "true")
        before = descriptors(node.kubelet.pid)
        client = started(kubectl, *words)
        node.server.stop(number)
        ended(client)
        until(lambda: descriptors(node.kubelet.pid) <= before + 4, "the kubelet has let go")
        node.server.start()
        until(lambda: kubectl_works(kubectl), "all is well again")
        until(lambda: " cat\n" not in kubectl("exec", "talks", "--", "ps"), "the command has read its end")


def kubectl_works(kubectl: Kubectl) -> bool:
    words = [kubectl.binary, "exec", "talks", "--", "true"]
    return subprocess.run(words, env=kubectl.environment, capture_output=True, timeout=30, check=False).returncode == 0


class TestBytes:
    def test_any_bytes_and_the_end_of_stdin(self, kubectl: Kubectl, left_nothing: None) -> None:
        sent = bytes(range(256)) * 4000 + os.urandom(1_000_000)
        assert kubectl.raw("exec", "-i", "talks", "--", "cat", input=sent) == sent

    def test_a_hundred_megabytes_take_no_memory(self, node: OneNode, kubectl: Kubectl, left_nothing: None) -> None:
        before = [resident(pid) for pid in node.pids]
        words = [kubectl.binary, "exec", "talks", "--", "head", "-c", "100000000", "/dev/zero"]
        with subprocess.Popen(words, env=kubectl.environment, stdout=subprocess.PIPE) as client:
            assert client.stdout is not None
            size = 0
            while data := client.stdout.read(MEGABYTES):
                size += len(data)
        assert (size, client.returncode) == (100_000_000, 0)
        assert [resident(pid) - n < 40 * MEGABYTES for pid, n in zip(node.pids, before, strict=True)] == [True, True]

    def test_a_reader_that_does_not_read(self, node: OneNode, kubectl: Kubectl, left_nothing: None) -> None:
        """The flood stops at its source, the reader's end is noticed all the same, and ends the command: one that
        neither reads its stdin nor minds a SIGHUP."""
        before = [resident(pid) for pid in node.pids]
        client = kubectl.start(
            "exec", "talks", "--", "sh", "-c", "trap '' HUP; cat /dev/zero; sleep 1000", stdout=subprocess.PIPE
        )
        assert client.stdout is not None
        assert client.stdout.read(1) == b"\0"
        until(lambda: steady(lambda: busy(node)), "nothing moves any more")
        assert [resident(pid) - n < 40 * MEGABYTES for pid, n in zip(node.pids, before, strict=True)] == [True, True]
        client.kill()
        client.wait(5)
        client.stdout.close()
        until(lambda: "/dev/zero" not in kubectl("exec", "talks", "--", "ps"), "the flood has ended")

    def test_a_flood_that_is_read(self, kubectl: Kubectl, left_nothing: None) -> None:
        """Its client is killed in the midst of it."""
        client = kubectl.start("exec", "talks", "--", "cat", "/dev/zero", stdout=subprocess.PIPE)
        assert client.stdout is not None
        assert len(client.stdout.read(MEGABYTES)) == MEGABYTES
        client.kill()
        client.stdout.close()
        client.wait(5)
        until(lambda: "/dev/zero" not in kubectl("exec", "talks", "--", "ps"), "the flood has ended")
        assert "trap" in kubectl("exec", "talks", "--", "ps")  # the container itself runs on


def busy(node: OneNode) -> int:
    """Ticks of CPU that the kubelet has used."""
    fields = Path(f"/proc/{node.kubelet.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def steady(value: Callable[[], int]) -> bool:

    before = value()
    time.sleep(0.5)
    return value() - before <= 10
