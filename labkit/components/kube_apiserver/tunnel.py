"""Requests that become streams: what kubectl asks of us is asked of the kubelet, then bytes go both ways.

    kubectl --TLS--> kube-apiserver --TLS--> kubelet      POST .../exec?command=sh   Upgrade: SPDY/3.1 (or websocket)
            <------------------------------------------   HTTP/1.1 101 Switching Protocols
            <=========================================>   whatever the two have agreed on

Nothing is understood here: not the frames, not the exit codes. A connection of TLS ends as a whole, so when one side
has ended the other is closed, after what was read has been delivered. A side that does not read stops the other one.
Where nothing moved for four hours both are closed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

from labkit.api.errors import InternalError
from labkit.components.kube_apiserver.messages import Request, Tunnel
from labkit.upgrade import close

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
IDLE_SECONDS = 4 * 3600.0  # without a byte in either direction; the original's streaming-connection-idle-timeout
PIECE = 64 * 1024
_KEPT = ("connection", "upgrade", "x-stream-protocol-version", "user-agent", "origin")

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request_head(request: Request, path: str, host: str) -> bytes:
    """The same request for the kubelet: its path, the client's upgrade."""
    target = f"{path}?{request.query_string}" if request.query_string else path
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [
        f"{name}: {value}"
        for name, value in request.headers.items()
        if name in _KEPT or name.startswith("sec-websocket-")
    ]
    if request.method == "POST":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode()


async def dig(address: str, context: ssl.SSLContext | None, request: bytes) -> Tunnel:
    """Send a request to HOST:PORT; the head of the answer, and the connection behind it. Raises InternalError, also
    for an answer that is not HTTP."""
    host, _, port = address.rpartition(":")
    writer = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
        writer.write(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        return Tunnel(head, reader, writer, _status(head))
    except BaseException as error:
        if writer is not None:
            await close(writer)
        if isinstance(error, OSError | EOFError | TimeoutError | ValueError | asyncio.LimitOverrunError):
            raise InternalError(f"error dialing backend: {address}: {error or type(error).__name__}") from error
        raise


def _status(head: bytes) -> int:
    """The code of `HTTP/1.1 101 Switching Protocols`; raises ValueError."""
    version, code = (*head.split(None, 2), b"", b"")[:2]
    if not version.startswith(b"HTTP/1.") or not code.isdigit():
        raise ValueError(f"the answer is not HTTP: {head[:40]!r}")
    return int(code)


async def splice(client: Ends, tunnel: Tunnel) -> None:
    """Bytes both ways until either side has ended, or both were silent for hours: somebody forgot a shell. After a
    refusal nothing more gets through to who refused."""
    patience = asyncio.timeout(IDLE_SECONDS)

    def moved() -> None:
        patience.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)

    pumps = [
        asyncio.ensure_future(_pump(client[0], tunnel.writer if tunnel.status == 101 else None, moved)),
        asyncio.ensure_future(_pump(tunnel.reader, client[1], moved)),
    ]
    try:
        with suppress(TimeoutError):
            async with patience:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, moved: Callable[[], None]) -> None:
    """To its end; without a writer it is thrown away."""
    try:
        while data := await reader.read(PIECE):
            moved()
            if writer is not None:
                writer.write(data)
                await writer.drain()
    except OSError:
        return  # one of them is gone, and the other is closed now
