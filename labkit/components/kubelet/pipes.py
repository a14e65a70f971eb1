"""From a request to a pipe: how the kubelet leaves HTTP, and what carries SPDY afterwards.

over_spdy    101 Switching Protocols, then SPDY/3.1 on the connection itself
accepted     a WebSocket; its messages are channels, or carry SPDY in their turn
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from labkit.components.kubelet.consoles import MAX_MESSAGE
from labkit.components.kubelet.spdy import ProtocolFault, Session
from labkit.upgrade import take_over

Serve = Callable[[Session, asyncio.Task[None]], Awaitable[None]]


async def in_session(session: Session, serve: Serve) -> None:
    """Serve a session's streams for as long as the client is there."""
    running = asyncio.create_task(session.run())
    try:
        await serve(session, running)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, ProtocolFault):
            await running


async def over_spdy(request: web.Request, protocol: str, serve: Serve) -> web.StreamResponse:
    """Take the connection out of HTTP; never returns but by an exception, which aiohttp knows to be the end."""
    lines = request.headers.getall("X-Stream-Protocol-Version", [])
    offered = [word.strip() for line in lines for word in line.split(",")]
    if protocol not in offered:
        text = f"unable to upgrade: client supports {offered}, server supports [{protocol}]"
        raise web.HTTPForbidden(text=text)
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        f"X-Stream-Protocol-Version: {protocol}\r\n\r\n"
    )

    async def in_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await in_session(Session(ConnectionPipe(reader, writer)), serve)

    await take_over(request, head.encode(), in_connection)


def upgrade_of(request: web.Request) -> str:
    """`websocket` or `spdy/3.1`; anything else is refused, and kubectl then tries the other one."""
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade not in ("websocket", "spdy/3.1") or "upgrade" not in request.headers.get("Connection", "").lower():
        raise web.HTTPBadRequest(text="Upgrade request required: SPDY/3.1 or websocket")
    return upgrade


async def accepted(request: web.Request, protocols: tuple[str, ...], needed: bool = True) -> web.WebSocketResponse:
    """A WebSocket that speaks one of these, or has named none where none is `needed`; raises HTTPBadRequest."""
    offered = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if word.strip()]
    if (needed or offered) and not set(offered) & set(protocols):
        raise web.HTTPBadRequest(text=f"no WebSocket protocol in common: expected one of {', '.join(protocols)}")
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=MAX_MESSAGE, compress=False)
    await socket.prepare(request)
    return socket


class ConnectionPipe:
    """SPDY on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(32 * 1024)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class MessagePipe:
    """SPDY in the binary messages of a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while (message := await self._socket.receive()).type == WSMsgType.BINARY:
            if message.data:  # kubectl sends empty ones too: they are not the end
                return bytes(message.data)
        return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)
