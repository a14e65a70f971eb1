"""SPDY/3.1: frames as literals, and a session from its client's side."""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator

import pytest

from labkit.components.kubelet import spdy
from labkit.components.kubelet.spdy import (
    DATA,
    FIN,
    GOAWAY,
    PING,
    RST_STREAM,
    SYN_STREAM,
    Frame,
    ProtocolFault,
    Session,
    control_frame,
    data_frame,
    frames,
    pack_headers,
    unpack_headers,
)  # fmt: skip
from labkit.components.kubelet.spdy_dictionary import DICTIONARY
from labkit.testing.eventually import eventually
from tests.spdy_client import SpdyClient

# What kubectl 1.32 sent to open the error stream of a port-forward (recorded).
KUBECTL_SYN = bytes.fromhex("80030001 0000003e 00000001 00000000 0000") + (
    b"x\xf9\xe3\xc6\xa7\xc2\x02%:p:+)JM\xcc\x85\x16%\xac\xa9\xa0\x80\x86\x14\xcbE\xe0\x1c`nii\xc9\xc0\xc0\xc0Y\x04"
    b"\x89\xc6LP\xf2f4\x00\x00\x00\x00\xff\xff"
)


class MemoryPipe:
    """One end of a pair; `other` is where its bytes arrive."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.other = self

    async def read(self) -> bytes:
        return await self.arrived.get()

    async def write(self, data: bytes) -> None:
        self.other.arrived.put_nowait(data)


def pair() -> tuple[MemoryPipe, MemoryPipe]:
    one, two = MemoryPipe(), MemoryPipe()
    one.other, two.other = two, one
    return one, two


async def read(*pieces: bytes) -> list[Frame]:
    pipe = MemoryPipe()
    for piece in (*pieces, b""):
        pipe.arrived.put_nowait(piece)
    return [frame async for frame in frames(pipe)]


def test_the_dictionary_is_the_protocol_s() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_frames_as_bytes() -> None:
    assert data_frame(3, b"ab", FIN) == bytes.fromhex("00000003 01000002 6162")
    assert control_frame(PING, b"\0\0\0\1") == bytes.fromhex("80030006 00000004 00000001")
    assert pack_headers({"port": "80"}) == b"\0\0\0\1\0\0\0\4port\0\0\0\x0280"


async def test_frames_arrive_in_any_pieces() -> None:
    sent = data_frame(1, b"abc") + control_frame(PING, b"1234") + data_frame(1, b"", FIN)
    expected = [Frame(DATA, 0, 1, b"abc"), Frame(PING, 0, 0, b"1234"), Frame(DATA, FIN, 1, b"")]
    assert await read(sent) == expected
    assert await read(*[bytes([byte]) for byte in sent]) == expected
    assert await read(sent[:-3]) == expected[:2]


async def test_a_long_data_frame_comes_in_pieces_and_fin_with_the_last() -> None:
    found = await read(data_frame(5, b"x" * (spdy.PIECE + 1), FIN))
    assert [(frame.flags, len(frame.body)) for frame in found] == [(0, spdy.PIECE), (FIN, 1)]


@pytest.mark.parametrize("bad", [b"GET / HTTP/1.1\r\n\r\n", b"\x80\x02\0\1\0\0\0\0", b"\x80\x03\0\1\0\xff\xff\xff"])
async def test_what_is_no_spdy(bad: bytes) -> None:
    if bad[0] < 0x80:  # it reads as a very long data frame of nobody's
        assert await read(bad) == []
    else:
        with pytest.raises(ProtocolFault):
            await read(bad)


def test_headers() -> None:
    assert unpack_headers(pack_headers({"StreamType": "error", "port": "6379"})) == {
        "streamtype": "error", "port": "6379"}  # fmt: skip
    for bad in (b"", b"\0\0\0\1", b"\xff\xff\xff\xff\0\0\0\1a", b"\0\0\0\1\0\0\0\1\xff\0\0\0\0"):
        with pytest.raises(ProtocolFault):
            unpack_headers(bad)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Session, SpdyClient]]:
    ours, theirs = pair()
    session, client = Session(ours), SpdyClient(theirs)
    tasks = [asyncio.create_task(session.run()), asyncio.create_task(client.run())]
    yield session, client
    await ours.write(b"")
    await theirs.write(b"")
    await asyncio.gather(*tasks, return_exceptions=True)


class TestSession:
    async def test_what_kubectl_sends(self) -> None:
        ours, theirs = pair()
        session = Session(ours)
        running = asyncio.create_task(session.run())
        await theirs.write(KUBECTL_SYN)
        stream = await session.accept()
        assert stream is not None
        assert stream.headers == {"streamtype": "error", "port": "7999", "requestid": "0"}
        assert (await theirs.read())[:12] == bytes.fromhex("80030002") + struct.pack(">II", 4 + 16, 1)
        await theirs.write(control_frame(GOAWAY, b"\0" * 8))
        await running
        assert await session.accept() is None

    async def test_both_directions_end_by_themselves(self, ends: tuple[Session, SpdyClient]) -> None:
        session, client = ends
        number = await client.open(streamtype="stdin")
        stream = await session.accept()
        assert stream is not None
        await client.write(number, b"in")
        assert await stream.read() == b"in"
        await client.write(number, b"", last=True)
        assert (await stream.read(), await stream.read()) == (b"", b"")
        await stream.write(b"still going")
        await stream.end()
        await eventually(lambda: client.ended == {number})
        assert (client.received[number], client.replied) == (b"still going", [number])
        with pytest.raises(ConnectionError):
            await stream.write(b"more")

    async def test_ping_and_reset(self, ends: tuple[Session, SpdyClient]) -> None:
        session, client = ends
        await client.pipe.write(control_frame(PING, b"abcd"))
        await eventually(lambda: client.pongs == [b"abcd"])
        number = await client.open(streamtype="data")
        stream = await session.accept()
        assert stream is not None
        await client.pipe.write(control_frame(RST_STREAM, struct.pack(">II", number, 5)))
        assert await stream.read() == b""
        assert session.streams == {}

    async def test_a_stream_that_nobody_reads_holds_up_its_sender_until_it_is_closed(
        self, ends: tuple[Session, SpdyClient]
    ) -> None:
        session, client = ends
        number = await client.open(streamtype="stdin")
        stream = await session.accept()
        assert stream is not None
        for _ in range(20):
            await client.write(number, b"x" * 1000)
        await client.pipe.write(control_frame(PING, b"late"))
        await asyncio.sleep(0.05)
        assert client.pongs == []
        stream.close()
        await eventually(lambda: client.pongs == [b"late"])

    async def test_too_many_streams_are_refused(
        self, ends: tuple[Session, SpdyClient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spdy, "MAX_STREAMS", 2)
        numbers = [await ends[1].open(streamtype="data") for _ in range(3)]
        await eventually(lambda: ends[1].reset == {numbers[2]})

    @pytest.mark.parametrize(
        "bad",
        [
            control_frame(SYN_STREAM, b"short"),
            control_frame(SYN_STREAM, struct.pack(">IIBB", 1, 0, 0, 0) + b"no zlib"),
            control_frame(SYN_STREAM, struct.pack(">IIBB", 1, 0, 0, 0) + zlib.compress(b"\0" * 1_000_000)),
        ],
        ids=["short", "garbage", "bomb"],
    )
    async def test_bad_frames_end_it(self, bad: bytes) -> None:
        ours, theirs = pair()
        await theirs.write(bad)
        session = Session(ours)
        with pytest.raises(ProtocolFault):
            await session.run()
        assert await session.accept() is None
