"""The two ways in which a client's streams arrive: as streams of SPDY, or as channels of a WebSocket.

SPDY       one stream each; the header `streamtype` says which: error, stdin, stdout, stderr, resize
WebSocket  binary messages whose first byte is the channel: 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize;
           in v5 the message ff 00 ends stdin, which v4 cannot say
Source: k8s.io/apimachinery/pkg/util/remotecommand; what kubectl 1.20 to 1.33 were seen to do.
"""

import asyncio

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from labkit.components.kubelet.process import ERROR, RESIZE, STDERR, STDIN, STDOUT, Wanted
from labkit.components.kubelet.remote_command import Size
from labkit.components.kubelet.spdy import Session, Stream

STREAMS_SECONDS = 30.0  # so long may a client take to open its streams
LINGER_SECONDS = 2.0  # so long may it take to hang up after the end
MAX_MESSAGE = (
    32 * 1024 * 1024
)  # bytes; kubectl sends up to 32 KiB, Python clients all they have: the bound is the original's
CLOSE_CHANNEL = 255
_PIECES = 4  # read from a WebSocket before the process takes one
_TYPES = {"error": ERROR, "stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "resize": RESIZE}


def size_of(text: bytes) -> Size | None:
    """`{"Width":80,"Height":24}`; None for anything else."""
    try:
        found = msgspec.json.decode(text, type=dict[str, int])
        size = Size(found["Width"], found["Height"])
    except (msgspec.MsgspecError, KeyError):
        return None
    return size if 0 < size.width < 65536 and 0 < size.height < 65536 else None


class SpdyConsole:
    """The streams of one session. Made by `open`, which waits for those that are wanted."""

    def __init__(self, session: Session, streams: dict[int, Stream], running: asyncio.Task[None]) -> None:
        self._session = session
        self._streams = streams
        self._running = running

    @classmethod
    async def open(cls, session: Session, running: asyncio.Task[None], wanted: Wanted) -> "SpdyConsole":
        """Raises ConnectionError when the client does not open them all."""
        flags = {STDIN: wanted.stdin, STDOUT: wanted.stdout, STDERR: wanted.stderr and not wanted.tty,
                 RESIZE: wanted.tty, ERROR: True}  # fmt: skip
        expected = {number for number, flag in flags.items() if flag}
        streams: dict[int, Stream] = {}
        async with asyncio.timeout(STREAMS_SECONDS):
            while expected - streams.keys():
                if (stream := await session.accept()) is None:
                    raise ConnectionResetError("the client left before it opened its streams")
                number = _TYPES.get(stream.headers.get("streamtype", ""))
                if number not in expected or number in streams:
                    await stream.reset()
                else:
                    streams[number] = stream
        return cls(session, streams, running)

    async def read(self) -> bytes:
        return await self._streams[STDIN].read() if STDIN in self._streams else await _never()

    async def size(self) -> Size | None:
        if RESIZE not in self._streams:
            return None
        while data := await self._streams[RESIZE].read():  # a message of its own each time
            for line in data.splitlines():
                if size := size_of(line):
                    return size
        return None

    async def write(self, stream: int, data: bytes) -> None:
        if stream in self._streams:
            await self._streams[stream].write(data)

    async def finish(self, status: bytes) -> None:
        """The client hangs up once it has read everything; closing earlier could cost it the end."""
        for number in (STDOUT, STDERR):
            if number in self._streams:
                await self._streams[number].end()
        await self._streams[ERROR].write(status)
        await self._streams[ERROR].end()
        if STDIN in self._streams:
            self._streams[STDIN].close()
        await asyncio.wait([self._running], timeout=LINGER_SECONDS)

    async def gone(self) -> None:
        await asyncio.wait([self._running])


class WebSocketConsole:
    """The channels of one WebSocket; `run()` reads them."""

    def __init__(self, socket: web.WebSocketResponse, wanted: Wanted) -> None:
        self._socket = socket
        self._wanted = wanted
        self._typed: asyncio.Queue[bytes] = asyncio.Queue(_PIECES)
        self._sizes: asyncio.Queue[Size] = asyncio.Queue(1)
        self._gone = asyncio.Event()
        self._deaf = False

    async def run(self) -> None:
        """Returns when the client has left."""
        try:
            async for message in self._socket:
                await self._take(message)
        finally:
            self._gone.set()

    async def _take(self, message: WSMessage) -> None:
        data = message.data.encode() if message.type == WSMsgType.TEXT else message.data
        if self._deaf or message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        if data[:1] == bytes([STDIN]) and len(data) > 1 and self._wanted.stdin:
            await self._typed.put(data[1:])
        elif data == bytes([CLOSE_CHANNEL, STDIN]):
            await self._typed.put(b"")
        elif data[:1] == bytes([RESIZE]) and (size := size_of(data[1:])):
            if self._sizes.full():  # only the newest counts
                self._sizes.get_nowait()
            self._sizes.put_nowait(size)

    async def read(self) -> bytes:
        return await self._typed.get()

    async def size(self) -> Size | None:
        return await self._sizes.get()

    async def write(self, stream: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes([stream]) + data)

    async def finish(self, status: bytes) -> None:
        self._deaf = True
        while not self._typed.empty():
            self._typed.get_nowait()
        await self._socket.send_bytes(bytes([ERROR]) + status)
        await self._socket.close()

    async def gone(self) -> None:
        await self._gone.wait()


async def _never() -> bytes:
    await asyncio.Event().wait()
    return b""
