"""Bytes to the API server as they are, over TLS, and whatever comes back taken apart again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import NamedTuple

from tests.fuzz.exchange import Exchange, Sent
from tests.fuzz.world import World

PODS = b"/api/v1/namespaces/fuzz/pods"


def head(line: bytes, *headers: bytes, host: bytes = b"Host: x") -> bytes:
    """A request's first lines: `head(b"GET /healthz", b"Connection: close")`."""
    return b"\r\n".join([line + b" HTTP/1.1", host, *headers, b"", b""])


@dataclass
class Said:
    """What came back within the time. `closed`: and then the server closed the connection."""

    data: bytes
    closed: bool

    def answers(self, *methods: str) -> list[Exchange]:
        """methods: of the requests, GET for those that are not told. Raises ValueError: that is not HTTP."""
        rest, found = self.data, []
        while rest:
            method = methods[len(found)] if len(found) < len(methods) else "GET"
            answer, rest = _first(rest, method)
            if answer.code != 100:
                found.append(answer)
        return found


class _Body(NamedTuple):
    body: bytes
    rest: bytes


def _first(data: bytes, method: str) -> tuple[Exchange, bytes]:
    top, _, rest = data.partition(b"\r\n\r\n")
    line, *lines = top.decode("latin-1").split("\r\n")
    version, code, *_ = line.split(" ", 2)
    if not version.startswith("HTTP/1.") or not code.isdigit():
        raise ValueError(f"not a status line: {line!r}")
    headers = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    body = _Body(b"", rest) if method == "HEAD" or int(code) in (100, 101, 204, 304) else _body(headers, rest)
    streams = headers.get("transfer-encoding") == "chunked"
    return Exchange(Sent(method, ""), int(code), headers, body.body, streams), body.rest


def _body(headers: dict[str, str], rest: bytes) -> _Body:
    if headers.get("transfer-encoding") == "chunked":
        return _Body(rest, b"")  # a stream: all that follows is its
    if "content-length" not in headers:
        raise ValueError(f"an answer without length: {headers}")
    length = int(headers["content-length"])
    if len(rest) < length:
        raise ValueError(f"an answer of {length} bytes was cut off after {len(rest)}")
    return _Body(rest[:length], rest[length:])


async def say(world: World, *pieces: bytes, seconds: float = 5.0, pause: float = 0.0) -> Said:
    """Send the pieces with pauses between them, listen until the server hangs up or the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=world.context)
    try:
        sending = asyncio.ensure_future(_send(writer, pieces, pause))
        data, closed = await _listen(reader, seconds)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        return Said(data, closed)
    finally:
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, pieces: tuple[bytes, ...], pause: float) -> None:
    for piece in pieces:
        try:
            writer.write(piece)
            await writer.drain()
        except OSError:
            return  # the server has heard enough
        if pause:
            await asyncio.sleep(pause)


async def _listen(reader: asyncio.StreamReader, seconds: float) -> tuple[bytes, bool]:
    data = b""
    try:
        async with asyncio.timeout(seconds):
            while chunk := await reader.read(65536):
                data += chunk
    except TimeoutError:
        return data, False
    except OSError:
        pass
    return data, True
