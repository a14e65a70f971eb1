"""The streams of `kubernetes`: logs, exec and attach over WebSocket v5 and v4, port-forward over channels, proxies."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from kubernetes import client as k
from kubernetes import watch
from kubernetes.stream import portforward, stream

from tests.node.one_node import OneNode, container, pod, until
from tests.node.python_clients.conftest import NODE


@pytest.fixture
def api(config: str, running: str) -> Iterator[Any]:
    with kubernetes.config.new_client_from_config(config) as client:
        yield k.CoreV1Api(client)


def execute(api: Any, *command: str, **options: object) -> Any:
    """What it prints; with `_preload_content=False` the open stream."""
    wanted = {"stdin": False, "stdout": True, "stderr": True, "tty": False} | options
    call = api.connect_get_namespaced_pod_exec
    return stream(call, "runs", "default", container="c", command=list(command), **wanted)


def opened(api: Any, *command: str, **options: object) -> Any:
    return execute(api, *command, _preload_content=False, **options)


class TestLogs:
    def test_whole_tail_and_times(self, api: Any) -> None:
        log = api.read_namespaced_pod_log
        assert log("runs", "default", container="c") == "up\n"
        stamped = log("runs", "default", container="c", tail_lines=1, timestamps=True)
        assert stamped.startswith("20")
        assert stamped.endswith("Z up\n")
        with pytest.raises(k.ApiException, match="a container name must be specified"):
            log("runs", "default")

    def test_followed(self, api: Any) -> None:
        following = watch.Watch()
        assert next(following.stream(api.read_namespaced_pod_log, "runs", "default", container="c")) == "up"
        following.stop()


class TestExec:
    def test_output(self, api: Any) -> None:
        assert execute(api, "echo", "hello", "there") == "hello there\n"
        assert sorted(execute(api, "sh", "-c", "echo out; echo err >&2").split()) == ["err", "out"]
        assert len(execute(api, "head", "-c", "3000000", "/dev/zero")) == 3_000_000
        assert execute(api, "sh", "-c", r"echo -ne '\xff\xfe\x00'", binary=True) == b"\xff\xfe\x00"

    def test_a_conversation(self, api: Any) -> None:
        shell = opened(api, "sh", stdin=True)
        assert shell.subprotocol == "v5.channel.k8s.io"
        shell.write_stdin("echo one\n")
        assert shell.readline_stdout(timeout=10) == "one"
        shell.write_stdin("echo two >&2\n")
        assert shell.readline_stderr(timeout=10) == "two"
        shell.write_stdin("exit 7\n")
        shell.run_forever(timeout=10)
        assert shell.returncode == 7

    def test_the_end_of_stdin(self, api: Any) -> None:
        """v5 can say it, v4 cannot: there the client hangs up."""
        counting = opened(api, "wc", "-c", stdin=True, binary=True)
        for _ in range(10):
            counting.write_stdin(b"x" * 100_000)
        counting.close_channel(0)
        counting.run_forever(timeout=10)
        assert counting.returncode == 0
        assert counting.read_all() == b"1000000\n"

    def test_a_terminal_and_its_size(self, api: Any) -> None:
        shell = opened(api, "sh", stdin=True, stderr=False, tty=True)
        shell.write_channel(4, json.dumps({"Width": 100, "Height": 30}))
        time.sleep(0.3)  # a resize is not answered
        shell.write_stdin("stty size; exit\n")
        shell.run_forever(timeout=10)
        assert "30 100" in shell.read_all()

    def test_refusals(self, api: Any) -> None:
        assert "no such file" in execute(api, "/no/such")
        with pytest.raises(k.ApiException, match="Handshake status 404"):
            stream(api.connect_get_namespaced_pod_exec, "nope", "default", command=["ls"])
        with pytest.raises(k.ApiException, match="Handshake status 400"):
            stream(api.connect_get_namespaced_pod_exec, "runs", "default", command=["ls"])


def test_attach(api: Any) -> None:
    name = f"cat-{time.monotonic_ns()}"
    api.create_namespaced_pod("default", pod(NODE, name, container("c", ["cat"], stdin=True), restartPolicy="Never"))
    until(lambda: api.read_namespaced_pod(name, "default").status.phase == "Running", "cat runs")
    attached = stream(
        api.connect_get_namespaced_pod_attach, name, "default", stdin=True, stdout=True, stderr=True, tty=False,
        _preload_content=False,
    )  # fmt: skip
    attached.write_stdin("hello\n")
    assert attached.readline_stdout(timeout=10) == "hello"
    attached.close_channel(0)
    attached.run_forever(timeout=10)
    assert attached.returncode == 0
    until(lambda: api.read_namespaced_pod(name, "default").status.phase == "Succeeded", "cat has ended")
    api.delete_namespaced_pod(name, "default", grace_period_seconds=0)


class TestPortForward:
    def test_two_ports_one_of_them_on_the_pod_s_own_loopback(self, api: Any) -> None:
        forward = portforward(api.connect_get_namespaced_pod_portforward, "runs", "default", ports="7000,8081")
        echo, web = forward.socket(7000), forward.socket(8081)
        for one in (echo, web):
            one.settimeout(10)
        for size in (5, 300_000):
            echo.sendall(b"x" * size)
            assert received(echo, size) == b"x" * size
        web.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
        assert b"root:x:0" in received(web, 200)  # that the answer has ended cannot be told by a channel
        forward.close()
        until(lambda: not forward.connected, "the connection ends")
        assert (forward.error(7000), forward.error(8081)) == (None, None)

    def test_nobody_listens(self, api: Any) -> None:
        forward = portforward(api.connect_get_namespaced_pod_portforward, "runs", "default", ports="7999")
        one = forward.socket(7999)
        one.settimeout(10)
        assert one.recv(10) == b""
        assert "port 7999 of the pod" in forward.error(7999)


def received(connection: socket.socket, size: int) -> bytes:
    """At least so many bytes, unless it ends before."""
    data = b""
    while len(data) < size and (piece := connection.recv(65536)):
        data += piece
    return data


class TestProxy:
    def test_to_a_pod_and_a_node(self, api: Any, node: OneNode) -> None:
        get = api.connect_get_namespaced_pod_proxy_with_path
        assert "nobody" in get("runs:8080", "default", "passwd")
        assert "nobody" in get("runs:http", "default", "passwd")
        assert api.connect_get_node_proxy_with_path(node.name, "healthz") == "ok"
        with pytest.raises(k.ApiException) as refused:
            get("runs:7999", "default", "passwd")
        assert refused.value.status == 503

    def test_to_a_service(self, api: Any) -> None:
        labels = {"metadata": {"labels": {"proxied": "yes"}}}
        api.patch_namespaced_pod("runs", "default", labels)
        spec = {"selector": {"proxied": "yes"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]}
        api.create_namespaced_service("default", {"metadata": {"name": "proxied"}, "spec": spec})
        try:
            listed = api.list_namespaced_endpoints
            mine = {"field_selector": "metadata.name=proxied"}
            until(lambda: any(one.subsets for one in listed("default", **mine).items), "it has endpoints")
            get = api.connect_get_namespaced_service_proxy_with_path
            assert "nobody" in get("proxied:web", "default", "passwd")
        finally:
            api.delete_namespaced_service("proxied", "default")
