"""Tunnels: whom they lead to, what goes through them, and that they end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from labkit.components.kube_apiserver import tunnel
from labkit.components.kube_apiserver.messages import Request
from labkit.components.kube_apiserver.server import Server, start_in_process
from labkit.components.kube_apiserver.tunnel import request_head
from labkit.testing.eventually import eventually
from labkit.upgrade import close

from .conftest import PODS, Http, pod

UPGRADE = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}
HEAD = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeKubelet:
    """Answers with 101 and what `behave` does, or with `refusal`."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.refusal = b""
        self.open = 0
        self.behave: Behave = echo

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.refusal or HEAD)
            if not self.refusal:
                await self.behave(reader, writer)
        except ConnectionError:
            pass
        finally:
            await close(writer)
            self.open -= 1


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@pytest.fixture
def kubelet() -> FakeKubelet:
    return FakeKubelet()


@pytest.fixture
async def server(kubelet: FakeKubelet) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(kubelet.answer, "127.0.0.1", 0)
    async with await start_in_process(kubelet_port=listening.sockets[0].getsockname()[1]) as server:
        yield server
        await eventually(lambda: kubelet.open == 0, expect="no connection is left")
    listening.close()


@pytest.fixture
async def ready(http: Http) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}  # fmt: skip
    await http.made("/api/v1/nodes", node)
    await http.made(PODS, pod())
    await http("POST", f"{PODS}/p1/binding", {"target": {"name": "n"}})


async def upgraded(server: Server, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    headers = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: secret\r\n{headers}\r\n".encode())
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == HEAD
    return reader, writer


@pytest.mark.usefixtures("ready")
class TestTunnel:
    async def test_bytes_go_both_ways(self, server: Server, kubelet: FakeKubelet) -> None:
        reader, writer = await upgraded(server, f"{PODS}/p1/exec?command=a&command=b%20c&container=c")
        for data in (b"one", b"x" * 300_000):
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
        assert kubelet.heads[0].startswith("POST /exec/default/p1/c?command=a&command=b%20c&container=c HTTP/1.1\r\n")
        assert "x-stream-protocol-version: v4.channel.k8s.io" in kubelet.heads[0]
        assert "secret" not in kubelet.heads[0]
        await close(writer)

    @pytest.mark.parametrize(
        ("path", "expected"), [("attach", "/attach/default/p1/c "), ("portforward", "/portForward/default/p1 ")]
    )
    async def test_the_kubelet_s_path(self, server: Server, kubelet: FakeKubelet, path: str, expected: str) -> None:
        await close((await upgraded(server, f"{PODS}/p1/{path}"))[1])
        assert expected in kubelet.heads[0]

    async def test_when_the_kubelet_ends_the_client_gets_all_and_the_end(
        self, server: Server, kubelet: FakeKubelet
    ) -> None:
        async def say_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"x" * 500_000)

        kubelet.behave = say_and_leave
        reader, writer = await upgraded(server, f"{PODS}/p1/exec?command=a")
        async with asyncio.timeout(5):
            assert len(await reader.read(-1)) == 500_000
        await close(writer)

    @pytest.mark.cis("4.2.5")
    async def test_what_is_silent_for_long_is_closed(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each byte, in either direction, is a new beginning."""
        monkeypatch.setattr(tunnel, "IDLE_SECONDS", 1.0)
        reader, writer = await upgraded(server, f"{PODS}/p1/exec?command=a")
        for _ in range(6):
            await asyncio.sleep(0.25)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        await close(writer)

    async def test_a_client_that_does_not_read_stops_the_kubelet(self, server: Server, kubelet: FakeKubelet) -> None:
        sent = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            while sent < 200_000_000:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536

        kubelet.behave = flood
        _, writer = await upgraded(server, f"{PODS}/p1/exec?command=a")
        await asyncio.sleep(0.5)
        before = sent
        await asyncio.sleep(0.2)
        assert before == sent < 30_000_000  # what sockets and buffers hold
        writer.transport.abort()

    async def test_churn(self, server: Server, kubelet: FakeKubelet) -> None:
        """Clients that leave at any moment: nothing is left, and the server goes on."""
        before = len(asyncio.all_tasks())

        async def one(number: int) -> None:
            reader, writer = await upgraded(server, f"{PODS}/p1/exec?command=a")
            writer.write(b"x" * number * 100)
            if number % 3:
                await reader.readexactly(min(number, 10))
            if number % 2:
                writer.transport.abort()
            else:
                await close(writer)

        for start in range(0, 300, 30):
            await asyncio.gather(*[one(number) for number in range(start, start + 30)])
        await eventually(lambda: len(asyncio.all_tasks()) <= before)

    async def test_the_server_ends_with_open_tunnels(self, server: Server) -> None:
        reader, writer = await upgraded(server, f"{PODS}/p1/exec?command=a")
        async with asyncio.timeout(5):
            await server.stop()
            assert await reader.read() == b""
        await close(writer)

    async def test_refusals(self, http: Http, kubelet: FakeKubelet) -> None:
        two: dict[str, Any] = pod("two")
        two["spec"]["containers"].append({"name": "d", "image": "redis"})
        await http.made(PODS, two)
        two_exec = f"{PODS}/two/exec?command=a"
        assert (await http("POST", two_exec))[1]["message"] == "pod two does not have a host assigned"
        await http("POST", f"{PODS}/two/binding", {"target": {"name": "n"}})
        for method, path, code, text in (
            ("POST", two_exec, 400, "a container name must be specified for pod two, choose one of: [c d]"),
            ("GET", f"{two_exec}&container=x", 400, "container x is not valid for pod two"),
            ("POST", f"{two_exec}&container=c", 400, "Upgrade request required"),
            ("PUT", two_exec, 405, "the server does not allow this method on the requested resource"),
            ("POST", f"{PODS}/nope/exec", 404, 'pods "nope" not found'),
        ):
            told = await http(method, path)
            assert (told[0], told[1]["message"]) == (code, text)
        refusals = (
            (b"404 Not Found", 404, "NotFound"), (b"403 Forbidden", 403, "Forbidden"),
            (b"400 Bad Request", 400, "BadRequest"), (b"500 X", 500, "InternalError"),
        )  # fmt: skip
        for said, code, reason in refusals:
            kubelet.refusal = b"HTTP/1.1 " + said + b"\r\nContent-Length: 4\r\n\r\nnope"
            told = await http("POST", f"{PODS}/p1/exec?command=a", None, **UPGRADE)
            assert (told[0], told[1]["reason"]) == (code, reason)
            assert "nope" in told[1]["message"]


async def test_nobody_answers(http: Http) -> None:
    """start_in_process' kubelets are on port 10250 of this machine, where none is."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.9"}]}}  # fmt: skip
    await http.made("/api/v1/nodes", node)
    await http.made(PODS, pod())
    await http("POST", f"{PODS}/p1/binding", {"target": {"name": "n"}})
    code, status = await http("POST", f"{PODS}/p1/exec?command=a", None, **UPGRADE)
    assert (code, status["message"].startswith("error dialing backend: 127.0.0.9:")) == (500, True)


def test_the_request_for_the_kubelet() -> None:
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-key": "k", "cookie": "c", "host": "h"}
    request = Request("GET", "/api/...", {}, headers, query_string="command=a")
    assert request_head(request, "/exec/n/p/c", "10.0.0.1:10250") == (
        b"GET /exec/n/p/c?command=a HTTP/1.1\r\nHost: 10.0.0.1:10250\r\nconnection: Upgrade\r\n"
        b"upgrade: websocket\r\nsec-websocket-key: k\r\n\r\n"
    )
