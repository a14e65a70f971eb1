"""Streams of docker's: a request that docker answers by turning the connection into the streams of a process.

    POST /exec/ID/start, /containers/ID/attach   ->  101, then raw bytes (a terminal), or frames both can be told from:
    stream 1 | 000 | length 4 | bytes

docker-py reads such an answer through a buffer and may keep its first bytes; so this speaks to docker's socket itself.
Source: Docker Engine API 1.41, "Attach to a container".
"""

import asyncio
import json
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from labkit.components.kubelet.process import STDERR, STDOUT, Wanted
from labkit.components.kubelet.runtime import NoSuchContainer, RuntimeFailure, RuntimeUnavailable
from labkit.upgrade import close

ANSWER_SECONDS = 30.0
PIECE = 32 * 1024

Resize = Callable[[int, int], Awaitable[None]]
ExitCode = Callable[[], Awaitable[int]]
End = Callable[[], Awaitable[None]]


async def open_streams(
    endpoint: str, path: str, body: Mapping[str, Any] | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The connection, after docker has taken it out of HTTP; raises RuntimeFailure with docker's words."""
    sent = json.dumps(body or {}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    writer = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await _connect(endpoint)
            writer.write(head.encode() + sent)
            answer = await reader.readuntil(b"\r\n\r\n")
            code = int(answer.split(None, 2)[1])
            if code not in (101, 200):
                raise _refusal(code, await reader.read(4096))
    except BaseException as exc:
        if writer is not None:
            await close(writer)
        if isinstance(exc, OSError | TimeoutError | EOFError):
            raise RuntimeUnavailable(f"docker does not answer: {exc or type(exc).__name__}") from exc
        raise
    return reader, writer


async def _connect(endpoint: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if endpoint.startswith("unix://"):
        return await asyncio.open_unix_connection(endpoint.removeprefix("unix://"))
    parts = urlsplit(endpoint)
    return await asyncio.open_connection(parts.hostname, parts.port)


def _refusal(code: int, body: bytes) -> RuntimeFailure:
    try:
        text = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace").strip()
    return (NoSuchContainer if code == 404 else RuntimeFailure)(f"API error ({code}): {text}")


class DockerProcess:
    """A Process whose streams are a connection to docker."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wanted: Wanted, resize: Resize,
        exit_code: ExitCode, end: End | None = None,
    ) -> None:  # fmt: skip
        """end: what is done about a command that has not ended when it is let go of."""
        self._reader = reader
        self._writer = writer
        self._tty = wanted.tty
        self._stream, self._left = STDOUT, 0  # of the frame that is being read
        self._resize = resize
        self._exit_code = exit_code
        self._end = end

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        try:
            while data := await self._next():
                yield data
        except asyncio.IncompleteReadError:
            return  # docker went away in the middle of a frame
        except OSError as exc:
            raise RuntimeUnavailable(f"docker does not answer: {exc}") from exc

    async def _next(self) -> tuple[int, bytes] | None:
        if self._tty:
            data = await self._reader.read(PIECE)
            return (STDOUT, data) if data else None
        while not self._left:
            head = await self._reader.readexactly(8)
            self._stream, self._left = struct.unpack(">BxxxI", head)
        data = await self._reader.readexactly(min(self._left, PIECE))
        self._left -= len(data)
        return STDERR if self._stream == STDERR else STDOUT, data

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def end_input(self) -> None:
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def resize(self, width: int, height: int) -> None:
        await self._resize(width, height)

    async def exit_code(self) -> int:
        code = await self._exit_code()
        self._end = None
        return code

    async def close(self) -> None:
        await close(self._writer)
        if self._end is not None:
            await self._end()
