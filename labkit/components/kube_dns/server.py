"""The sockets of kube-dns: UDP with a cache keyed by the bytes of the question, and TCP.

Clients ask the same few names in the same few bytes: all of a packet after its id is the key, and the whole answer
after its id the value. The cache is emptied whenever a record changes, so nothing in it is ever out of date.

    packet --> in the cache? --yes--> id + answer                                             the fast way
                     '--no--> respond: an answer to keep, None for silence, or a coroutine     the slow way
                                                                       (somebody else is asked)
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

from labkit.components.kube_dns.counts import Counts, drops
from labkit.components.kube_dns.wire import TCP_BYTES, is_formerr

PACKETS_PER_WAKEUP = 64
CACHED_ANSWERS = 10_000
CACHED_BYTES = 300  # a longer question is no usual one, and the cache's memory is bounded by this
RECEIVE_BYTES = 1 << 20  # of the kernel's queue: a burst waits there, a flood is dropped there
TCP_CONNECTIONS = 200
TCP_IDLE_SECONDS = 10.0

Address = tuple[str, int]
Reply = bytes | None | Coroutine[None, None, bytes | None]
Respond = Callable[..., Reply]  # respond(packet, tcp=False)


class Server:
    """Answers on one address. `respond` makes the answers, `forget()` empties the cache."""

    def __init__(self, respond: Respond) -> None:
        self.counts = Counts()
        self._respond = respond
        self._cache: dict[bytes, bytes] = {}
        self._connections: dict[asyncio.StreamWriter, None] = {}  # the one that was silent the longest comes first
        self._later: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        self._cache.clear()

    @property
    def cached(self) -> int:
        return len(self._cache)

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
            for task in self._later:
                task.cancel()
            for writer in self._connections:
                writer.transport.abort()

    def _drain(self, udp: socket.socket) -> None:
        cache, counts = self._cache, self.counts
        made = number = 0
        for number in range(PACKETS_PER_WAKEUP):  # noqa: B007  # counted once, at the end
            try:
                packet, client = udp.recvfrom(4096)
            except OSError:
                break
            rest = cache.get(packet[2:])
            if rest is None:
                made += 1
                rest = self._make(packet, udp, client)
                if rest is None:
                    continue
            with suppress(OSError):  # the client is gone, or has no port to answer to
                udp.sendto(packet[:2] + rest, client)
        else:  # the queue is still not empty: is it losing packets?
            number += 1
            counts.dropped = drops(udp)
        counts.udp += number
        counts.cached += number - made

    def _make(self, packet: bytes, udp: socket.socket, client: Address) -> bytes | None:
        """The answer after its id, kept for the next who asks; None when there is none, or when it comes later."""
        reply = self._respond(packet)
        if isinstance(reply, Coroutine):
            self._start(_send_later(reply, udp, client))
            return None
        if reply is None or is_formerr(reply):
            self._note(client)
            return reply and reply[2:]
        if len(self._cache) >= CACHED_ANSWERS:
            self._cache.clear()
        if len(packet) <= CACHED_BYTES:
            self._cache[packet[2:]] = reply[2:]
        return reply[2:]

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _note(self, client: Address) -> None:
        self.counts.malformed += 1
        self.counts.last_malformed = "{}:{}".format(*client[:2])

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Questions in turn, each answered before the next is read; who asks nothing for a while makes room."""
        self._connections[writer] = None
        if len(self._connections) > TCP_CONNECTIONS:
            next(iter(self._connections)).transport.abort()
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE_SECONDS):
                    packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    self._connections[writer] = self._connections.pop(writer)  # it comes last now
                    await self._answer_stream(packet, writer)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.pop(writer, None)
            writer.close()

    async def _answer_stream(self, packet: bytes, writer: asyncio.StreamWriter) -> None:
        self.counts.tcp += 1
        reply = self._respond(packet, tcp=True)
        if isinstance(reply, Coroutine):
            reply = await reply
        if reply is None or is_formerr(reply):
            self._note(writer.get_extra_info("peername"))
        if reply is not None:
            writer.write(len(reply).to_bytes(2) + reply)
            await writer.drain()


async def _send_later(reply: Coroutine[None, None, bytes | None], udp: socket.socket, client: Address) -> None:
    packet = await reply
    if packet is not None:
        with suppress(OSError):
            udp.sendto(packet, client)
