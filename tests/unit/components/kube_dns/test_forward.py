"""Forwarding, to servers on loopback that answer, lie, or say nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from dnslib import RR, DNSRecord

from labkit.components.kube_dns import forward
from labkit.components.kube_dns.forward import Forwarder
from tests.unit.components.kube_dns import free_port

QUESTION = DNSRecord.question("www.example.com").pack()
Behave = Callable[[bytes], list[bytes]]


def honest(packet: bytes) -> list[bytes]:
    asked = DNSRecord.parse(packet)
    reply = asked.reply()
    reply.add_answer(*RR.fromZone("www.example.com 60 A 192.0.2.1"))
    return [reply.pack()]


def liar(packet: bytes) -> list[bytes]:
    """Another id, another question, a question instead of an answer, noise, half; the truth comes last."""
    truth = honest(packet)[0]
    other = truth.replace(b"\7example", b"\7elpmaxe")
    return [bytes([truth[0] ^ 1]) + truth[1:], other, packet, b"", b"?" * 40, truth[:20], truth]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no answer is late on a machine that does other things."""
    monkeypatch.setattr(forward, "SECONDS", 20.0)


class _Upstream(asyncio.DatagramProtocol):
    def __init__(self, behave: Behave, seen: list[bytes]) -> None:
        self.behave, self.seen = behave, seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.seen.append(data)
        for each in self.behave(data):
            self.transport.sendto(each, address)


@asynccontextmanager
async def upstream(behave: Behave, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[int, list[bytes]]]:
    seen: list[bytes] = []
    port = port or free_port(address)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Upstream(behave, seen), local_addr=(address, port))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        for each in behave(packet):
            writer.write(len(each).to_bytes(2) + each)
        writer.close()

    server = await asyncio.start_server(serve, address, port)
    try:
        yield port, seen
    finally:
        server.close()
        transport.close()


@pytest.mark.parametrize("tcp", [False, True])
async def test_the_answer_comes_under_the_clients_id(tcp: bool) -> None:
    async with upstream(honest) as (port, _):
        answer = await Forwarder(("127.0.0.1",), port).ask(QUESTION, tcp=tcp)
    assert answer is not None
    assert answer[:2] == QUESTION[:2]
    assert str(DNSRecord.parse(answer).rr[0].rdata) == "192.0.2.1"


async def test_each_question_has_an_id_of_its_own() -> None:
    async with upstream(honest) as (port, seen):
        forwarder = Forwarder(("127.0.0.1",), port)
        await asyncio.gather(*(forwarder.ask(QUESTION) for _ in range(20)))
    assert len({each[:2] for each in seen}) > 10
    assert forwarder.counts == {"answered": 20, "failed": 0, "too_many": 0}


async def test_what_answers_no_question_of_ours_is_not_believed() -> None:
    async with upstream(liar) as (port, _):
        answer = await Forwarder(("127.0.0.1",), port).ask(QUESTION)
        assert answer
        assert str(DNSRecord.parse(answer).rr[0].rdata) == "192.0.2.1"
        assert await Forwarder(("127.0.0.1",), port).ask(QUESTION, tcp=True) is None  # the lie came first


async def test_the_next_is_asked_when_one_is_silent_or_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "SECONDS", 3.0)
    async with upstream(honest, "127.0.0.3") as (port, _), upstream(lambda _: [], "127.0.0.2", port):
        forwarder = Forwarder(("127.0.0.4", "127.0.0.2", "127.0.0.3"), port)
        assert await forwarder.ask(QUESTION)
        monkeypatch.setattr(forward, "SECONDS", 0.1)
        assert await Forwarder(("127.0.0.4", "127.0.0.2"), port).ask(QUESTION) is None


async def test_so_many_may_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "SECONDS", 0.5)
    monkeypatch.setattr(forward, "UNDER_WAY", 5)
    async with upstream(lambda _: []) as (port, seen):
        forwarder = Forwarder(("127.0.0.1",), port)
        assert set(await asyncio.gather(*(forwarder.ask(QUESTION) for _ in range(30)))) == {None}
    assert len(seen) == 5
    assert forwarder.counts == {"answered": 0, "failed": 5, "too_many": 25}
    assert forwarder.counts["answered"] == 0
