"""The channel under etcd3's stubs, at whose other end is h2, which takes no frame that breaks RFC 9113."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from labkit.storage import grpc_channel, http2
from labkit.storage.grpc_channel import CallError, Channel
from labkit.testing.eventually import eventually

BIG = 3 * 1024 * 1024  # bytes, more than any window that was not opened further


class Peer(asyncio.Protocol):
    """A gRPC server of one method for each way to answer: what comes after the last "/" of the path."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.methods: dict[int, str] = {}
        self.bodies: dict[int, bytes] = {}
        self.unsent: dict[int, bytes] = {}
        self.deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.h2.local_settings.max_concurrent_streams = 1000  # etcd has no limit
        self.h2.initiate_connection()
        self.server.peers.append(self)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.methods[event.stream_id] = str(dict(event.headers)[":path"]).rpartition("/")[2]  # type: ignore[index]
                self.bodies[event.stream_id] = b""
                if self.methods[event.stream_id] == "stream":
                    self.begin(event.stream_id)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.server.resets.append(event.stream_id)
                self.unsent.pop(event.stream_id, None)
            elif isinstance(event, h2.events.PingReceived):
                self.server.pings += 1
            elif isinstance(event, h2.events.StreamEnded):
                self.answer(event.stream_id)
        self.send_what_has_room()
        self.flush()

    def begin(self, stream: int) -> None:
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])

    def answer(self, stream: int) -> None:
        match self.methods[stream]:
            case "echo" | "padded":
                self.begin(stream)
                self.unsent[stream] = self.bodies[stream]
            case "refuse":
                status = [("grpc-status", "11"), ("grpc-message", "required revision has been compacted: 100%25")]
                self.h2.send_headers(stream, [(":status", "200"), *status], end_stream=True)
            case "reset":
                self.h2.reset_stream(stream, 7)
            case "drop":
                self.transport.abort()

    def send_what_has_room(self) -> None:
        for stream in list(self.unsent):
            padding = 100 if self.methods[stream] == "padded" else None
            while self.unsent[stream]:
                room = min(self.h2.local_flow_control_window(stream) - 200, self.h2.max_outbound_frame_size - 200)
                if room <= 0:
                    break
                part, self.unsent[stream] = self.unsent[stream][:room], self.unsent[stream][room:]
                self.h2.send_data(stream, part, pad_length=padding)
            if not self.unsent[stream] and self.methods[stream] != "stream":
                del self.unsent[stream]
                self.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def send_message(self, stream: int, data: bytes) -> None:
        self.unsent[stream] = self.unsent.get(stream, b"") + grpc_channel._message(data)
        self.send_what_has_room()
        self.flush()


class Server:
    """Where it listens, and what came to it."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.resets: list[int] = []
        self.pings = 0
        self.address = ""

    async def start(self) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(lambda: Peer(self), "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    it = Server()
    listening = await it.start()
    yield it
    listening.close()
    for peer in it.peers:
        peer.transport.abort()


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[Channel]:
    channel = Channel([server.address])
    yield channel
    await channel.close()


def same(data: bytes) -> bytes:
    return data


def method(channel: Channel, name: str) -> Callable[..., Any]:
    return channel.unary_unary(f"/test/{name}", request_serializer=same, response_deserializer=same)


async def test_a_message_comes_back(channel: Channel) -> None:
    assert await method(channel, "echo")(b"hello", timeout=5) == b"hello"
    assert await method(channel, "echo")(b"", timeout=5) == b""


async def test_many_at_once_on_one_connection(server: Server, channel: Channel) -> None:
    echo = method(channel, "echo")
    sent = [str(number).encode() * (1 + number % 3000) for number in range(300)]
    assert await asyncio.gather(*(echo(data, timeout=20) for data in sent)) == sent
    assert len(server.peers) == 1


@pytest.mark.parametrize("name", ["echo", "padded"])
async def test_more_than_the_windows_hold_in_both_directions(channel: Channel, name: str) -> None:
    echo = method(channel, name)
    sent = [bytes([number]) * BIG for number in range(4)]
    assert await asyncio.gather(*(echo(data, timeout=60) for data in sent)) == sent
    assert await echo(b"x" * 2 * http2.WINDOW, timeout=60) == b"x" * 2 * http2.WINDOW


async def test_a_refusal_has_its_code_and_its_text(channel: Channel) -> None:
    with pytest.raises(CallError) as caught:
        await method(channel, "refuse")(b"", timeout=5)
    assert caught.value.code == grpc.StatusCode.OUT_OF_RANGE
    assert caught.value.details == "required revision has been compacted: 100%"


@pytest.mark.parametrize("name", ["reset", "drop"])
async def test_a_call_that_is_broken_off_is_unavailable_and_the_next_one_is_served(channel: Channel, name: str) -> None:
    with pytest.raises(CallError) as caught:
        await method(channel, name)(b"", timeout=5)
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    assert await method(channel, "echo")(b"again", timeout=5) == b"again"


async def test_a_call_ends_at_its_deadline_and_the_server_is_told(server: Server, channel: Channel) -> None:
    with pytest.raises(CallError) as caught:
        await method(channel, "silence")(b"", timeout=0.1)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: server.resets == [1], 5, expect="the stream given up")


async def test_who_no_longer_waits_gives_the_call_up(server: Server, channel: Channel) -> None:
    waiting = asyncio.ensure_future(method(channel, "silence")(b"", timeout=60))
    await eventually(lambda: bool(server.peers and server.peers[0].methods), 5, expect="the request there")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await eventually(lambda: server.resets == [1], 5, expect="the stream given up")


async def test_nobody_there_is_unavailable_and_the_next_server_is_tried(server: Server) -> None:
    nobody = Channel(["127.0.0.1:1"])
    for _ in range(2):
        with pytest.raises(CallError) as caught:
            await method(nobody, "echo")(b"", timeout=5)
        assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    await nobody.close()
    both = Channel(["127.0.0.1:1", server.address])
    assert await method(both, "echo")(b"there", timeout=5) == b"there"
    await both.close()


async def test_a_server_that_stops_finishes_what_it_has_begun(server: Server, channel: Channel) -> None:
    waiting = asyncio.ensure_future(method(channel, "silence")(b"kept", timeout=20))
    await eventually(lambda: bool(server.peers and server.peers[0].bodies), 5, expect="the request there")
    old = server.peers[0]
    old.h2.close_connection(last_stream_id=1)
    # h2 takes itself for closed after that: the rest of the old stream is written by hand
    old.flush()
    connection = await channel.connected()
    await eventually(lambda: not connection.usable, 5, expect="the server's goodbye")
    assert await method(channel, "echo")(b"new", timeout=5) == b"new"
    assert len(server.peers) == 2
    assert not waiting.done()
    old.transport.abort()
    with pytest.raises(CallError):
        await waiting


async def test_when_the_numbers_of_streams_are_used_up_there_is_a_new_connection(
    server: Server, channel: Channel
) -> None:
    connection = await channel.connected()
    connection._next = http2._LAST
    assert await method(channel, "echo")(b"last", timeout=5) == b"last"
    assert await method(channel, "echo")(b"first", timeout=5) == b"first"
    assert len(server.peers) == 2


async def test_a_server_that_is_silent_is_asked_and_then_given_up(
    server: Server, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PING_SECONDS", "PONG_SECONDS"):
        monkeypatch.setattr(http2, name, 0.3)
    waiting = asyncio.ensure_future(method(channel, "silence")(b"", timeout=60))
    await eventually(lambda: server.pings > 0, 10, expect="a question whether it is there")
    assert not waiting.done()
    server.peers[0].deaf = True
    with pytest.raises(CallError) as caught:
        await asyncio.wait_for(waiting, 20)
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE


async def test_a_stream_brings_all_messages_in_order_and_is_given_up_by_closing(
    server: Server, channel: Channel
) -> None:
    watch = channel.stream_stream("/test/stream", request_serializer=same, response_deserializer=same)
    seen: list[bytes] = []
    async with contextlib.aclosing(watch(b"begin")) as batches:
        waiting = asyncio.ensure_future(anext(batches))
        await eventually(lambda: bool(server.peers and server.peers[0].bodies.get(1)), 5, expect="the request")
        for number in range(100):
            server.peers[0].send_message(1, b"%d" % number)
        seen += await waiting
        while len(seen) < 100:
            seen += await anext(batches)
    assert seen == [b"%d" % number for number in range(100)]
    await eventually(lambda: server.resets == [1], 5, expect="the stream given up")


async def test_a_stream_that_nobody_reads_is_not_sent_without_end(server: Server, channel: Channel) -> None:
    watch = channel.stream_stream("/test/stream", request_serializer=same, response_deserializer=same)
    piece, count = b"x" * 500_000, 4 * http2.WINDOW // 500_000
    async with contextlib.aclosing(watch(b"begin")) as batches:
        waiting = asyncio.ensure_future(anext(batches))
        await eventually(lambda: bool(server.peers and server.peers[0].bodies.get(1)), 5, expect="the request")
        peer = server.peers[0]
        for _ in range(count):
            peer.send_message(1, piece)
        seen = len(await waiting)
        await asyncio.sleep(0.3)
        assert len(peer.unsent[1]) > count * len(piece) - 3 * http2.WINDOW  # the rest waits for the reader
        while seen < count:
            some = await asyncio.wait_for(anext(batches), 20)
            assert set(some) == {piece}
            seen += len(some)
    assert seen == count


def test_headers_are_looked_at_once() -> None:
    block = grpc_channel._block("/test/echo", False)
    started = time.perf_counter()
    for _ in range(1000):
        assert http2._headers(block)[":path"] == "/test/echo"
    assert time.perf_counter() - started < 1
