"""SPDY/3.1 as far as kubectl speaks it: many streams over one connection, for exec, attach and port-forward.

    control frame   1 | version 15 | type 16 | flags 8 | length 24 | body        SYN_STREAM opens a stream, ...
    data frame      0 | stream id 31         | flags 8 | length 24 | bytes       flag 1 (FIN): the sender's last

The client opens the streams, each with headers that say what it is for, and half-closes them one by one. Header blocks
are compressed, by one (de)compressor per connection and direction. There is no flow control in kubectl's dialect: a
stream that nobody reads holds up the whole connection once its buffer is full, and so the sender.
Source: SPDY draft 3.1; moby/spdystream, which kubectl uses.
"""

import asyncio
import struct
import zlib
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple, Protocol

from labkit.components.kubelet.spdy_dictionary import DICTIONARY

DATA, SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 0, 1, 2, 3, 6, 7
FIN = 1
REFUSED, CANCEL = 3, 5
PIECE = 32 * 1024  # bytes of data handed on at once
MAX_CONTROL = 64 * 1024  # bytes of a control frame, and of its headers unpacked
MAX_STREAMS = 512  # open at once
_BUFFERED = 4  # pieces a stream holds that nobody has read yet
_VERSION = 0x8003


class ProtocolFault(Exception):
    """The other side does not speak SPDY/3.1 as we know it."""


class Pipe(Protocol):
    """What carries the frames: a connection, or the binary messages of a WebSocket."""

    async def read(self) -> bytes:
        """Some bytes, b"" at the end."""

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more; raises ConnectionError when nobody is there."""


class Frame(NamedTuple):
    """kind 0 is data. A long data frame comes in pieces, the FIN with the last."""

    kind: int
    flags: int
    stream: int
    body: bytes


def data_frame(stream: int, data: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", stream, flags << 24 | len(data)) + data


def control_frame(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", _VERSION, kind, flags << 24 | len(body)) + body


def pack_headers(headers: Mapping[str, str]) -> bytes:
    """A header block before compression."""
    texts = [text.encode() for pair in headers.items() for text in pair]
    return struct.pack(">I", len(headers)) + b"".join(struct.pack(">I", len(text)) + text for text in texts)


def unpack_headers(block: bytes) -> dict[str, str]:
    """Names in lower case; raises ProtocolFault."""
    try:
        (count,), at, texts = struct.unpack_from(">I", block), 4, []
        for _ in range(2 * min(count, MAX_CONTROL)):
            (length,) = struct.unpack_from(">I", block, at)
            texts.append(block[at + 4 : at + 4 + length].decode())
            at += 4 + length
    except (struct.error, UnicodeDecodeError) as exc:
        raise ProtocolFault("a header block cannot be read") from exc
    return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


async def frames(pipe: Pipe) -> AsyncGenerator[Frame, None]:
    """The frames that arrive until the other side is gone; raises ProtocolFault."""
    buffer = bytearray()

    async def fill(size: int) -> bool:
        while len(buffer) < size:
            if not (data := await pipe.read()):
                return False
            buffer.extend(data)
        return True

    def take(size: int) -> bytes:
        taken = bytes(buffer[:size])
        del buffer[:size]
        return taken

    while await fill(8):
        first, second = struct.unpack(">II", take(8))
        flags, left = second >> 24, second & 0xFFFFFF
        if first >> 31:
            if first >> 16 != _VERSION or left > MAX_CONTROL:
                raise ProtocolFault("not a control frame of SPDY/3, or one that is too long")
            if not await fill(left):
                return
            yield Frame(first & 0xFFFF, flags, 0, take(left))
            continue
        while True:
            size = min(left, PIECE)
            if not await fill(size):
                return
            left -= size
            yield Frame(DATA, 0 if left else flags, first, take(size))
            if not left:
                break


class Stream:
    """One of a connection's streams: both directions end by themselves."""

    def __init__(self, session: "Session", number: int, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._session = session
        self._number = number
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue(_BUFFERED)
        self._closed = self._read_all = self._written_all = False

    async def read(self) -> bytes:
        """Some bytes; b"" when the other side has ended its direction."""
        if self._read_all or self._closed:
            return b""
        data = await self._arrived.get()
        self._read_all = not data
        return data

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the stream or the connection is closed."""
        if self._closed or self._written_all:
            raise ConnectionResetError("the stream is closed")
        for start in range(0, len(data), PIECE):
            await self._session.send(data_frame(self._number, data[start : start + PIECE]))

    async def end(self) -> None:
        """Nothing more will be written."""
        if not self._closed and not self._written_all:
            self._written_all = True
            await self._session.send(data_frame(self._number, b"", FIN))

    async def reset(self) -> None:
        """Both directions end here, unfinished."""
        if not self._closed:
            self.close()
            await self._session.send(control_frame(RST_STREAM, struct.pack(">II", self._number, CANCEL)))

    def close(self) -> None:
        """What still arrives is thrown away."""
        self._closed = True
        self._session.streams.pop(self._number, None)
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self._arrived.put_nowait(b"")

    async def arrive(self, data: bytes, last: bool) -> None:
        """Called by the session; waits while the buffer is full."""
        if data and not self._closed:
            await self._arrived.put(data)
        if last and not self._closed:
            await self._arrived.put(b"")


class Session:
    """The server's side of a connection. `run()` reads frames as long as there is a connection."""

    def __init__(self, pipe: Pipe) -> None:
        self.streams: dict[int, Stream] = {}
        self._pipe = pipe
        self._opened: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._unpack = zlib.decompressobj(zdict=DICTIONARY)
        self._pack = zlib.compressobj(zdict=DICTIONARY)
        self._sending = asyncio.Lock()

    async def accept(self) -> Stream | None:
        """The next stream that the client opens; None when it is gone."""
        return await self._opened.get()

    async def send(self, frame: bytes) -> None:
        async with self._sending:
            await self._pipe.write(frame)

    async def run(self) -> None:
        """Returns when the client is gone or says goodbye; raises ProtocolFault."""
        try:
            async for frame in frames(self._pipe):
                if frame.kind == GOAWAY:
                    return
                await self._take(frame)
        except OSError:  # of TLS, too
            return
        finally:
            for stream in tuple(self.streams.values()):
                stream.close()
            self._opened.put_nowait(None)

    async def _take(self, frame: Frame) -> None:
        """Frames of other kinds (SETTINGS, WINDOW_UPDATE, HEADERS) are of no use here."""
        if frame.kind == DATA:
            if stream := self.streams.get(frame.stream):
                await stream.arrive(frame.body, bool(frame.flags & FIN))
        elif frame.kind == SYN_STREAM:
            await self._open(frame)
        elif frame.kind == RST_STREAM and len(frame.body) == 8:
            if stream := self.streams.get(struct.unpack(">II", frame.body)[0]):
                stream.close()
        elif frame.kind == PING:
            await self.send(control_frame(PING, frame.body))

    async def _open(self, frame: Frame) -> None:
        if len(frame.body) < 10:
            raise ProtocolFault("a SYN_STREAM that is too short")
        number = struct.unpack_from(">I", frame.body)[0] & 0x7FFFFFFF
        try:
            block = self._unpack.decompress(frame.body[10:], MAX_CONTROL)
        except zlib.error as exc:
            raise ProtocolFault("headers that cannot be unpacked") from exc
        if self._unpack.unconsumed_tail or number in self.streams:
            raise ProtocolFault("headers that are too long, or a stream that is open already")
        stream = Stream(self, number, unpack_headers(block))
        if len(self.streams) >= MAX_STREAMS:
            await self.send(control_frame(RST_STREAM, struct.pack(">II", number, REFUSED)))
            return
        self.streams[number] = stream
        packed = self._pack.compress(pack_headers({})) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        await self.send(control_frame(SYN_REPLY, struct.pack(">I", number) + packed))
        if frame.flags & FIN:
            await stream.arrive(b"", True)
        self._opened.put_nowait(stream)
