"""exec, attach and port-forward at the kubelet's server, over TLS, on the runtime that runs nothing."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from labkit.components.kubelet.consoles import size_of
from labkit.components.kubelet.fake import FakeRuntime, Program
from labkit.components.kubelet.fake_process import FakeProcess
from labkit.components.kubelet.pipes import ConnectionPipe
from labkit.components.kubelet.remote_command import Size, exited
from labkit.components.kubelet.runtime import ContainerConfig
from labkit.components.kubelet.server import ADMITTED, serving, tls_context
from labkit.testing.eventually import eventually
from labkit.upgrade import close
from tests.node.real_etcd import Authority
from tests.spdy_client import SpdyClient
from tests.unit.components.kubelet.one_node import OneNode, one_node

EXEC, ATTACH, FORWARD = "/exec/default/p/c", "/attach/default/p/c", "/portForward/default/p"


def program(config: ContainerConfig) -> Program:
    return Program(echoes=True, echo_port=7000)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[OneNode]:
    async with one_node(FakeRuntime("n1", program=program), tmp_path) as node:
        await node.create()
        await node.status(lambda s: s.phase == "Running")
        yield node


class Kubelet:
    def __init__(self, port: int, context: ssl.SSLContext, session: aiohttp.ClientSession) -> None:
        self.port, self.context, self.session = port, context, session

    @asynccontextmanager
    async def spdy(self, path: str, protocol: str) -> AsyncIterator[SpdyClient]:
        reader, writer = await asyncio.open_connection("localhost", self.port, ssl=self.context)
        lines = (f"POST {path} HTTP/1.1", "Host: n1", "Connection: Upgrade", "Upgrade: SPDY/3.1",
                 f"X-Stream-Protocol-Version: {protocol}", "Content-Length: 0", "", "")  # fmt: skip
        writer.write("\r\n".join(lines).encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert f"X-Stream-Protocol-Version: {protocol}".encode() in head
        client = SpdyClient(ConnectionPipe(reader, writer))
        running = asyncio.create_task(client.run())
        try:
            yield client
        finally:
            await close(writer)
            await asyncio.wait_for(running, 5)

    @asynccontextmanager
    async def websocket(self, path: str, *protocols: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"https://localhost:{self.port}{path}"
        async with self.session.ws_connect(url, protocols=protocols) as socket:
            assert socket.protocol == protocols[0]
            yield socket

    async def refused(self, path: str, **headers: str) -> tuple[int, str]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(f"https://localhost:{self.port}{path}", headers=sent) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def kubelet(node: OneNode, tmp_path: Path) -> AsyncIterator[Kubelet]:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("n1")
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(*authority.issue(ADMITTED))
    tls = tls_context(str(certificate), str(key), str(authority.ca))
    async with (
        serving(node.kubelet, "127.0.0.1", 0, tls) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Kubelet(port, context, session)


async def messages(socket: aiohttp.ClientWebSocketResponse) -> list[tuple[int, bytes]]:
    """Channel and content of all, until the kubelet closes."""
    found = []
    async with asyncio.timeout(5):
        async for message in socket:
            assert message.type == WSMsgType.BINARY
            found.append((message.data[0], message.data[1:]))
    return found


SUCCESS = b'{"metadata":{},"status":"Success"}'


class TestWebSocket:
    @pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
    async def test_output_and_status(self, kubelet: Kubelet, protocol: str) -> None:
        async with kubelet.websocket(f"{EXEC}?command=echo&command=a&command=b", protocol) as socket:
            assert await messages(socket) == [(1, b"a b\n"), (3, SUCCESS)]

    async def test_exit_code(self, kubelet: Kubelet) -> None:
        async with kubelet.websocket(f"{EXEC}?command=sh&command=-c&command=exit%203", "v5.channel.k8s.io") as socket:
            ((channel, status),) = await messages(socket)
        assert channel == 3
        assert json.loads(status)["reason"] == "NonZeroExitCode"
        assert json.loads(status)["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]

    async def test_stdin_and_its_end(self, kubelet: Kubelet) -> None:
        async with kubelet.websocket(f"{EXEC}?command=cat&stdin=true", "v5.channel.k8s.io") as socket:
            await socket.send_bytes(b"\0one")
            assert await socket.receive_bytes() == b"\x01one"
            await socket.send_str("\0two")  # Python's client
            assert await socket.receive_bytes() == b"\x01two"
            await socket.send_bytes(b"\xff\0")
            assert await messages(socket) == [(3, SUCCESS)]

    async def test_resize(self, kubelet: Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[tuple[int, int]] = []

        async def resize(self: FakeProcess, width: int, height: int) -> None:
            sizes.append((width, height))

        monkeypatch.setattr(FakeProcess, "resize", resize)
        async with kubelet.websocket(f"{EXEC}?command=cat&stdin=true&tty=true", "v5.channel.k8s.io") as socket:
            await socket.send_bytes(b'\4{"Width":100,"Height":30}')
            await eventually(lambda: sizes == [(100, 30)])
            await socket.send_bytes(b"\4nonsense")
            await socket.send_bytes(b"\xff\0")
            assert await messages(socket) == [(3, SUCCESS)]

    async def test_attach_goes_on_until_the_container_ends(self, kubelet: Kubelet, node: OneNode) -> None:
        async with kubelet.websocket(f"{ATTACH}?stdin=true", "v5.channel.k8s.io") as socket:
            await socket.send_bytes(b"\0hello")
            assert await socket.receive_bytes() == b"\x01hello"
            assert isinstance(node.runtime, FakeRuntime)
            node.runtime.exit("p", "c")
            assert (await messages(socket))[-1][0] == 3

    async def test_a_client_that_leaves_costs_nothing(self, kubelet: Kubelet) -> None:
        before = len(asyncio.all_tasks())
        for _ in range(5):
            async with kubelet.websocket(f"{EXEC}?command=sleep&command=9&stdin=true", "v5.channel.k8s.io"):
                pass
        await eventually(lambda: len(asyncio.all_tasks()) <= before + 1)


class TestSpdy:
    async def test_streams_and_status(self, kubelet: Kubelet) -> None:
        path = f"{EXEC}?command=cat&stdin=true&stdout=true&stderr=true"
        async with kubelet.spdy(path, "v4.channel.k8s.io") as client:
            error, stdin, stdout, _ = [await client.open(streamtype=t) for t in ("error", "stdin", "stdout", "stderr")]
            await client.write(stdin, b"x" * 100_000)
            await client.write(stdin, b"", last=True)
            await eventually(lambda: error in client.ended)
            assert (len(client.received[stdout]), bytes(client.received[error])) == (100_000, SUCCESS)
            assert stdout in client.ended

    async def test_an_unknown_stream_is_reset(self, kubelet: Kubelet) -> None:
        async with kubelet.spdy(f"{EXEC}?command=echo&command=hi", "v4.channel.k8s.io") as client:
            odd = await client.open(streamtype="nonsense")
            error, stdout, _ = [await client.open(streamtype=t) for t in ("error", "stdout", "stderr")]
            await eventually(lambda: error in client.ended)
            assert (client.reset, client.received[stdout]) == ({odd}, b"hi\n")

    async def test_port_forward(self, kubelet: Kubelet) -> None:
        async with kubelet.spdy(FORWARD, "portforward.k8s.io") as client:
            told: dict[str, Any] = {"port": "7000", "requestid": "0"}
            error, data = await client.open(streamtype="error", **told), await client.open(streamtype="data", **told)
            await client.write(data, b"there and back", last=True)
            await eventually(lambda: {error, data} <= client.ended)
            assert (client.received[error], client.received[data]) == (b"", b"there and back")
            for port, why in (
                ("7001", b"port 7001 of the pod: connection refused"),
                ("x", b"'x' is not a port: expected a number from 1 to 65535"),
            ):
                told = {"port": port, "requestid": port}
                error, _ = await client.open(streamtype="error", **told), await client.open(streamtype="data", **told)
                await eventually(lambda error=error: error in client.ended)  # type: ignore[misc]
                assert client.received[error].startswith(why)

    async def test_a_client_that_leaves_costs_nothing(self, kubelet: Kubelet) -> None:
        before = len(asyncio.all_tasks())
        for _ in range(5):
            async with kubelet.spdy(f"{EXEC}?command=sleep&command=9", "v4.channel.k8s.io") as client:
                for name in ("error", "stdout", "stderr"):
                    await client.open(streamtype=name)
            async with kubelet.spdy(f"{EXEC}?command=cat&stdin=true", "v4.channel.k8s.io") as client:
                await client.open(streamtype="error")
            async with kubelet.spdy(FORWARD, "portforward.k8s.io") as client:
                told: dict[str, Any] = {"port": "7000", "requestid": "0"}
                await client.open(streamtype="error", **told)
                await client.write(await client.open(streamtype="data", **told), b"abc")
        await eventually(lambda: len(asyncio.all_tasks()) <= before)


class TestPortChannels:
    """Port-forward as Python clients do it."""

    async def test_each_port_has_two_channels(self, kubelet: Kubelet) -> None:
        async with kubelet.websocket(f"{FORWARD}?ports=7000,7001", "v4.channel.k8s.io") as socket:
            ports = [await socket.receive_bytes() for _ in range(4)]
            assert ports == [b"\0\x58\x1b", b"\1\x58\x1b", b"\2\x59\x1b", b"\3\x59\x1b"]
            assert await socket.receive_bytes() == b"\3port 7001 of the pod: connection refused"
            for text in (b"there", b"and back"):
                await socket.send_bytes(b"\0" + text)
                assert await socket.receive_bytes() == b"\0" + text
            await socket.send_bytes(b"\1not ours to take")
            await socket.send_bytes(b"\xc8no such channel")
            await socket.send_str("\0in text")
            assert await socket.receive_bytes() == b"\0in text"

    async def test_it_ends_when_the_last_connection_has(self, kubelet: Kubelet) -> None:
        async with kubelet.websocket(f"{FORWARD}?ports=7001&ports=7002", "v4.channel.k8s.io") as socket:
            assert [channel for channel, _ in await messages(socket)] == [0, 1, 2, 3, 1, 3]

    async def test_a_client_that_names_no_protocol(self, kubelet: Kubelet) -> None:
        url = f"https://localhost:{kubelet.port}{FORWARD}?ports=7000"
        async with kubelet.session.ws_connect(url) as socket:
            assert socket.protocol is None
            assert await socket.receive_bytes() == b"\0\x58\x1b"

    async def test_a_client_that_leaves_costs_nothing(self, kubelet: Kubelet) -> None:
        before = len(asyncio.all_tasks())
        for number in range(6):
            async with kubelet.websocket(f"{FORWARD}?ports=7000", "v4.channel.k8s.io") as socket:
                if number % 2:
                    await socket.send_bytes(b"\0" + b"x" * 100_000)
        await eventually(lambda: len(asyncio.all_tasks()) <= before)

    @pytest.mark.parametrize("ports", ["", "?ports=", "?ports=x", "?ports=0", "?ports=65536", "?ports=80,"])
    async def test_what_is_no_port(self, kubelet: Kubelet, ports: str) -> None:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Protocol": "v4.channel.k8s.io"}
        code, told = await kubelet.refused(FORWARD + ports, **upgrade)
        assert (code, told.startswith("ports: ")) == (400, True), told


async def test_refusals(kubelet: Kubelet) -> None:
    spdy = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    v4 = spdy | {"X_Stream_Protocol_Version": "v4.channel.k8s.io"}
    for path, headers, code, text in (
        (f"{EXEC}?command=ls", {}, 400, "Upgrade request required"),
        (f"{EXEC}?command=ls", {"Connection": "Upgrade", "Upgrade": "h2c"}, 400, "Upgrade request required"),
        (f"{EXEC}?command=ls", spdy, 403, "unable to upgrade: client supports []"),
        (EXEC, v4, 400, "you must specify at least 1 command for the container"),
        (f"{EXEC}?command=ls&stdout=false&stderr=false", v4, 400, "at least 1 of stdin, stdout, stderr"),
        ("/exec/default/p/x?command=ls", v4, 404, 'container not found ("x")'),
        ("/exec/default/nope/c?command=ls", v4, 404, 'pod "nope" does not exist'),
        (f"{EXEC}?command=ls", {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Protocol": "x"}, 400,
         "no WebSocket protocol in common"),
    ):  # fmt: skip
        told = await kubelet.refused(path, **headers)
        assert (told[0], text in told[1]) == (code, True), told


def test_words() -> None:
    assert exited(0) == SUCCESS
    assert json.loads(exited(3))["message"] == "command terminated with non-zero exit code: exit status 3"
    assert size_of(b'{"Width":80,"Height":24}') == Size(80, 24)
    for bad in (b"", b"{}", b'{"Width":0,"Height":24}', b'{"Width":80,"Height":99999999}', b"[]"):
        assert size_of(bad) is None
