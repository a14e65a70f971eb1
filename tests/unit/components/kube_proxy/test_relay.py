"""The relay with real sockets on loopback: whole connections, none lost, nothing left."""

import asyncio
import contextlib
import hashlib
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.components.kube_proxy import tcp, udp
from labkit.components.kube_proxy.balancer import Address, Balancer
from labkit.components.kube_proxy.relay import Relay
from labkit.testing.eventually import eventually

WEB = "default/web:"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Bench:
    """A relay in its thread, and servers to carry to."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.warnings: list[str] = []
        self.balancer = Balancer()
        self.relay = Relay(self.balancer, self._report, lambda text, **_: self.warnings.append(text), descriptors=4096)
        self.thread = threading.Thread(target=self.relay.run)
        self.thread.start()

    def _report(self, decision: str, name: str, **fields: Any) -> None:
        self.reports.append((decision, fields))

    def listen(self, name: str = WEB) -> int:
        sock = tcp.listen("127.0.0.1", 0)
        self.relay.call(self.relay.add, name, tcp.Listener(self.relay, name, sock))
        return int(sock.getsockname()[1])

    def listen_udp(self, name: str = WEB) -> tuple[int, udp.UdpListener]:
        sock = udp.bind("127.0.0.1", 0)
        listener = udp.UdpListener(self.relay, name, sock)
        self.relay.call(self.relay.add, name, listener)
        return int(sock.getsockname()[1]), listener

    def endpoints(self, *ports: int, name: str = WEB) -> None:
        group = [Address("127.0.0.1", port) for port in ports]
        self.relay.call(self.relay.set_endpoints, name, group)

    def close(self) -> None:
        self.relay.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()
        self.relay.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    before = descriptors()
    made = Bench()
    yield made
    made.close()
    await eventually(lambda: descriptors() <= before, within=2, expect="every descriptor closed again")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """A server on a free port; its connections are over when the block ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            writer.close()

    made = await asyncio.start_server(tracked, "127.0.0.1", 0)
    async with made:
        try:
            yield made.sockets[0].getsockname()[1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads to the end, then answers with the digest of it: needs half-close."""
    seen = hashlib.sha256()
    while data := await reader.read(1 << 16):
        seen.update(data)
    writer.write(seen.digest())
    await writer.drain()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def talk(port: int, payload: bytes) -> bytes:
    """Send all, end, and read all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:

        async def send() -> None:
            writer.write(payload)
            await writer.drain()
            writer.write_eof()

        answer, _ = await asyncio.gather(reader.read(-1), send())
        return answer
    finally:
        writer.close()


async def test_half_close_carries_everything(bench: Bench) -> None:
    async with server(digest) as backend:
        bench.endpoints(backend)
        port = bench.listen()
        for size in (0, 1, 1000, 3_000_000):
            payload = random.randbytes(size)
            assert await talk(port, payload) == hashlib.sha256(payload).digest()


async def test_both_directions_at_once_and_many_of_them(bench: Bench) -> None:
    async with server(echo) as backend:
        bench.endpoints(backend)
        port = bench.listen()
        payloads = [random.randbytes(random.randrange(1, 700_000)) for _ in range(30)]
        assert await asyncio.gather(*(talk(port, payload) for payload in payloads)) == payloads


async def test_a_server_that_speaks_first(bench: Bench) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello")
        await writer.drain()

    async with server(greet) as backend:
        bench.endpoints(backend)
        port = bench.listen()
        for _ in range(20):
            assert await talk(port, b"") == b"220 hello"


async def test_a_slow_reader_stops_the_writer(bench: Bench) -> None:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(1000):
            writer.write(bytes(100_000))
            await writer.drain()

    async with server(pour) as backend:
        bench.endpoints(backend)
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.listen())
        await asyncio.sleep(0.5)
        peak = int(
            next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line).split()[1]
        )
        total = 0
        while data := await reader.read(1 << 20):
            total += len(data)
        writer.close()
    assert total == 100_000_000
    assert peak < 400_000, "the relay kept what nobody took"


async def test_none_is_lost_while_endpoints_change(bench: Bench) -> None:
    async with server(digest) as one, server(digest) as two, server(digest) as three:
        bench.endpoints(one, two)
        port = bench.listen()
        want = hashlib.sha256(b"x").digest()
        for number in range(300):
            bench.endpoints(*random.sample([one, two, three], random.randrange(1, 4)))
            assert await talk(port, b"x") == want, number


async def test_a_dead_endpoint_costs_a_try_and_what_was_said_is_kept(bench: Bench) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()[1]
        async with server(digest) as backend:
            bench.endpoints(dead, backend)
            port = bench.listen()
            for _ in range(10):
                assert await talk(port, b"said before") == hashlib.sha256(b"said before").digest()
        bench.endpoints(dead)
        assert await talk_or_reset(port, b"x") == b""
    attempts = [fields["attempt"] for decision, fields in bench.reports if decision == "connecting"]
    assert attempts[-4:] == [1, 2, 3, 4]


async def talk_or_reset(port: int, payload: bytes) -> bytes:
    with contextlib.suppress(OSError):
        return await talk(port, payload)
    return b""


async def test_without_endpoints_the_connection_ends_at_once(bench: Bench) -> None:
    port = bench.listen()
    began = time.monotonic()
    assert await talk_or_reset(port, b"") == b""
    assert time.monotonic() - began < 0.5
    assert bench.reports == [("no endpoints", {"client": "127.0.0.1"})]


async def test_an_endpoint_that_is_a_service_is_no_circle(bench: Bench) -> None:
    port = bench.listen()
    bench.relay.refuses = lambda endpoint: endpoint.ip == "127.0.0.1"
    bench.endpoints(port)
    assert await talk_or_reset(port, b"x") == b""
    assert len([decision for decision, _ in bench.reports if decision == "connecting"]) == 4


async def test_a_removed_port_accepts_no_more_but_keeps_what_it_has(bench: Bench) -> None:
    async with server(echo) as backend:
        bench.endpoints(backend)
        port = bench.listen()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        bench.relay.call(bench.relay.remove, WEB)

        async def refused() -> bool:
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
            except ConnectionError:  # refused, or cut off while it waited in the queue
                return True
            return False

        await eventually(refused)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"
        writer.close()


async def test_churn_of_impatient_clients_leaves_nothing(bench: Bench) -> None:
    """Clients that leave at any moment, by end or by reset, while others go on."""
    async with server(echo) as backend:
        bench.endpoints(backend)
        port = bench.listen()

        async def impatient() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            if random.random() < 0.7:
                writer.write(random.randbytes(random.randrange(300_000)))
            await asyncio.sleep(random.random() * 0.02)
            if random.random() < 0.5:
                writer.transport.abort()
            writer.close()

        async def patient() -> None:
            payload = random.randbytes(200_000)
            assert await talk(port, payload) == payload

        await asyncio.gather(*(impatient() for _ in range(200)), *(patient() for _ in range(20)))
        await eventually(lambda: bench.relay._used == 1, expect="only the listener is left")
        assert not bench.relay.deadlines
        assert not bench.relay.again


# -- UDP -----------------------------------------------------------------------------------------------------------


class Answering(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(b"re: " + data, address)


@contextlib.asynccontextmanager
async def udp_server() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Answering, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def ask(sock: socket.socket, text: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, text)
    async with asyncio.timeout(2):
        return await loop.sock_recv(sock, 70000)


def udp_client(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.connect(("127.0.0.1", port))
    return sock


async def test_udp_clients_have_sessions_that_end_when_idle(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "IDLE_SECONDS", 0.6)
    async with udp_server() as backend:
        bench.endpoints(backend)
        port, listener = bench.listen_udp()
        with udp_client(port) as one, udp_client(port) as two:
            assert await ask(one, b"a") == b"re: a"
            assert await ask(two, bytes(60000)) == b"re: " + bytes(60000)
            assert await ask(one, b"") == b"re: "
            assert len(listener.sessions) == 2
            await eventually(lambda: not listener.sessions, within=3)
            assert await ask(one, b"again") == b"re: again"


async def test_udp_finds_another_endpoint_when_one_refuses(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()[1]
    async with udp_server() as backend:
        bench.endpoints(dead, backend)
        port, _ = bench.listen_udp()
        with udp_client(port) as client:

            async def answered() -> bytes:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        return await ask(client, b"x")
                return b""

            assert await eventually(answered, within=2) == b"re: x"


async def test_udp_leaves_an_endpoint_that_vanished(bench: Bench) -> None:
    async with udp_server() as one, udp_server() as two:
        bench.endpoints(one)
        port, listener = bench.listen_udp()
        with udp_client(port) as client:
            assert await ask(client, b"a") == b"re: a"
            bench.endpoints(two)
            assert await ask(client, b"b") == b"re: b"
            assert [session.endpoint.port for session in listener.sessions.values()] == [two]


async def test_udp_without_endpoints_is_dropped_and_removal_ends_sessions(bench: Bench) -> None:
    async with udp_server() as backend:
        port, listener = bench.listen_udp()
        with udp_client(port) as client:
            client.send(b"lost")
            await eventually(lambda: bench.reports)
            bench.endpoints(backend)
            assert await ask(client, b"x") == b"re: x"
            bench.relay.call(bench.relay.remove, WEB)
            await eventually(lambda: not listener.sessions and bench.relay._used == 0)
