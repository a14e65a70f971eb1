"""Names that are not the cluster's, asked of others: only of the servers that cluster.json lists as dns.forwarders.

    client --packet--> kube-dns --the same packet, another id, another port--> forwarder 1, after 1 s forwarder 2 ...
           <--packet--          <--packet-------------------------------------

The answer is handed on as it came, if its id and its question are those that were sent. So many may be under way at a
time; who asks beyond that, or when no forwarder answers, hears SERVFAIL.
Source: RFC 5452 (forged answers: an id and a port that nobody can guess); RFC 7766 (TCP).
"""

import asyncio
import secrets
from collections import Counter
from contextlib import suppress

from labkit.components.kube_dns.wire import same_question

PORT = 53
SECONDS = 1.0  # for each forwarder
UNDER_WAY = 200


class Forwarder:
    """`ask` in the order of `addresses`. counts: how many were answered, failed, refused for being too many."""

    def __init__(self, addresses: tuple[str, ...], port: int = PORT) -> None:
        self.addresses = addresses
        self.counts: Counter[str] = Counter(answered=0, failed=0, too_many=0)
        self._port = port
        self._under_way = 0

    async def ask(self, packet: bytes, *, tcp: bool = False) -> bytes | None:
        """The answer under the question's id, None when nobody gave one."""
        if self._under_way >= UNDER_WAY:
            self.counts["too_many"] += 1
            return None
        self._under_way += 1
        try:
            return await self._first(packet, tcp=tcp)
        finally:
            self._under_way -= 1

    async def _first(self, packet: bytes, *, tcp: bool) -> bytes | None:
        question = secrets.token_bytes(2) + packet[2:]
        for address in self.addresses:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(SECONDS):
                    found = await (self._over_tcp if tcp else self._over_udp)(address, question)
                self.counts["answered"] += 1
                return packet[:2] + found[2:]
        self.counts["failed"] += 1
        return None

    async def _over_udp(self, address: str, question: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        transport, waiting = await loop.create_datagram_endpoint(
            lambda: _Waiting(question, loop.create_future()), remote_addr=(address, self._port)
        )
        try:
            transport.sendto(question)
            return await waiting.answer
        finally:
            transport.close()

    async def _over_tcp(self, address: str, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(address, self._port)
        try:
            writer.write(len(question).to_bytes(2) + question)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        finally:
            writer.close()
        if not same_question(answer, question):
            raise ConnectionError(f"{address} answered another question")
        return answer


class _Waiting(asyncio.DatagramProtocol):
    """Takes the first datagram that answers the question; the socket is connected, so it comes from the forwarder."""

    def __init__(self, question: bytes, answer: asyncio.Future[bytes]) -> None:
        self._question = question
        self.answer = answer

    def datagram_received(self, data: bytes, _address: object) -> None:
        if not self.answer.done() and same_question(data, self._question):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():  # an ICMP message: nobody listens there
            self.answer.set_exception(exc)
