"""The sockets of kube-dns: UDP with a cache keyed by the bytes of the question, and TCP.

Clients ask the same few names in the same few bytes: all of a packet after its id is the key, and the whole answer
after its id the value. The cache is emptied whenever a record changes, so nothing in it is ever out of date.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from labkit.components.kube_dns.wire import TCP_BYTES

PACKETS_PER_WAKEUP = 64
CACHED_ANSWERS = 10_000
CACHED_BYTES = 300  # a longer question is no usual one, and the cache's memory is bounded by this
RECEIVE_BYTES = 1 << 20  # of the kernel's queue: a burst waits there instead of getting lost
TCP_CONNECTIONS = 200
TCP_IDLE_SECONDS = 10.0

Respond = Callable[..., bytes | None]  # respond(packet, tcp=False)


class Server:
    """Answers on one address. `respond` makes the answers, `forget()` empties the cache."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._cache: dict[bytes, bytes] = {}
        self._connections: set[asyncio.StreamWriter] = set()

    def forget(self) -> None:
        self._cache.clear()

    @asynccontextmanager
    async def listening(self, address: str, port: int) -> AsyncIterator[int]:
        """Listen inside the block, on UDP and TCP; yields the port. OSError when it is taken or not allowed."""
        tcp = await asyncio.start_server(self._serve_stream, address, port, limit=TCP_BYTES + 2)
        port = tcp.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            udp.bind((address, port))
            loop.add_reader(udp, self._drain, udp)
            yield port
        finally:
            loop.remove_reader(udp)
            udp.close()
            tcp.close()
            for writer in self._connections:
                writer.transport.abort()

    def _drain(self, udp: socket.socket) -> None:
        cache = self._cache
        for _ in range(PACKETS_PER_WAKEUP):
            try:
                packet, client = udp.recvfrom(4096)
            except OSError:
                return
            rest = cache.get(packet[2:])
            if rest is None:
                rest = self._make(packet)
                if rest is None:
                    continue
            with suppress(OSError):  # the client is gone, or has no port to answer to
                udp.sendto(packet[:2] + rest, client)

    def _make(self, packet: bytes) -> bytes | None:
        reply = self._respond(packet)
        if reply is None:
            return None
        if len(self._cache) >= CACHED_ANSWERS:
            self._cache.clear()
        if len(packet) <= CACHED_BYTES:
            self._cache[packet[2:]] = reply[2:]
        return reply[2:]

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= TCP_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(writer)
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2))
                    reply = self._respond(await reader.readexactly(size), tcp=True)
                    if reply is not None:
                        writer.write(len(reply).to_bytes(2) + reply)
                        await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()
