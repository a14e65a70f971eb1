"""The sockets: a cache that a flood of names cannot grow, TCP with many questions at once, what is counted."""

import asyncio
import socket
import struct

import pytest
from dnslib import DNSRecord

from labkit.components.kube_dns import server as sockets
from labkit.components.kube_dns.server import Server
from labkit.components.kube_dns.wire import respond
from tests.unit.components.kube_dns import free_port
from tests.unit.components.kube_dns.test_wire import NAME, RECORDS

QUESTION = DNSRecord.question(NAME).pack()


def plain() -> Server:
    return Server(lambda packet, tcp=False: respond(packet, RECORDS, tcp=tcp))


def ask(port: int, *packets: bytes) -> list[bytes]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        return [(sock.send(each), sock.recv(4096))[1] for each in packets]


async def test_the_second_who_asks_is_answered_from_the_cache() -> None:
    server = plain()
    async with server.listening("127.0.0.1", free_port()) as port:
        one, two = await asyncio.to_thread(ask, port, b"\0\1" + QUESTION[2:], b"\0\2" + QUESTION[2:])
        assert (one[:2], two[:2], one[2:]) == (b"\0\1", b"\0\2", two[2:])
        assert (server.counts.udp, server.counts.cached, server.cached) == (2, 1, 1)
        server.forget()
        assert server.cached == 0


async def test_a_flood_of_names_does_not_grow_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CACHED_ANSWERS", 50)
    server = plain()
    names = [DNSRecord.question(f"n{number}.cluster.local").pack() for number in range(200)]
    async with server.listening("127.0.0.1", free_port()) as port:
        await asyncio.to_thread(ask, port, *names)
        assert 0 < server.cached <= 50


async def test_malformed_packets_are_counted_and_not_kept() -> None:
    server = plain()
    async with server.listening("127.0.0.1", free_port()) as port:
        for reply in await asyncio.to_thread(ask, port, QUESTION[:-1], QUESTION[:-1]):
            assert reply[3] & 0xF == 1
        assert (server.counts.malformed, server.cached) == (2, 0)
        assert server.counts.last_malformed.startswith("127.0.0.1:")


async def test_many_questions_on_one_connection_before_any_answer_is_read() -> None:
    server = plain()
    async with server.listening("127.0.0.1", free_port()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(100):
            packet = struct.pack("!H", number) + QUESTION[2:]
            writer.write(len(packet).to_bytes(2) + packet)
        for number in range(100):
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            assert int.from_bytes(reply[:2]) == number
        writer.close()
    assert server.counts.tcp == 100


async def test_who_asks_nothing_makes_room_for_who_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "TCP_CONNECTIONS", 3)
    server = plain()
    async with server.listening("127.0.0.1", free_port()) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await _exchange(*held[0])
        held.append(await asyncio.open_connection("127.0.0.1", port))
        await _exchange(*held[3])
        await _exchange(*held[0])
        with pytest.raises(ConnectionError):  # the one that was silent the longest
            await _exchange(*held[1])
        for _, writer in held:
            writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """IncompleteReadError, an EOFError, or ConnectionError when the server has closed it."""
    try:
        async with asyncio.timeout(10):
            writer.write(len(QUESTION).to_bytes(2) + QUESTION)
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            assert reply[:2] == QUESTION[:2]
    except asyncio.IncompleteReadError as exc:
        raise ConnectionAbortedError from exc


async def test_an_answer_that_comes_later_holds_up_nobody() -> None:
    asked = asyncio.Event()

    async def later(packet: bytes) -> bytes:
        await asked.wait()
        return packet[:2] + b"later"

    server = Server(lambda packet, tcp=False: later(packet) if b"later" in packet else respond(packet, RECORDS))
    async with server.listening("127.0.0.1", free_port()) as port:
        waiting = asyncio.create_task(asyncio.to_thread(ask, port, b"\0\7later........"))
        assert (await asyncio.to_thread(ask, port, QUESTION))[0][3] & 0xF == 0
        assert not waiting.done()
        asked.set()
        assert await waiting == [b"\0\7later"]


def test_the_counts_as_prometheus_reads_them() -> None:
    text = plain().counts.text(services=2)
    assert 'kube_dns_queries_total{proto="udp"} 0\n' in text
    assert text.endswith("kube_dns_services 2\n")
