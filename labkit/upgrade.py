"""An HTTP connection that stops speaking HTTP: after `101 Switching Protocols` its bytes are somebody else's.

Whatever served HTTP until now gives the transport away (`hand_over`). aiohttp does this by itself for WebSocket only;
for anything else (SPDY/3.1, or an upgrade that is only passed on) `take_over` tells it that the connection is gone,
which from its side it is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from aiohttp import web

BUFFER = 64 * 1024  # bytes that are read ahead; twice that pauses the connection
CLOSE_SECONDS = 5.0  # so long may a peer take for the last bytes
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def hand_over(transport: asyncio.Transport, head: bytes, serve: Serve, early: bytes = b"") -> None:
    """Send `head` (the whole 101 answer), let `serve` have the connection, close it. `early`: what the peer has sent
    already."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(BUFFER, loop)
    adapter = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(adapter)
    adapter.connection_made(transport)
    writer = asyncio.StreamWriter(transport, adapter, reader, loop)
    try:
        reader.feed_data(early)
        writer.write(head)
        await serve(reader, writer)
    finally:
        await close(writer)


async def take_over(request: web.BaseRequest, head: bytes, serve: Serve) -> NoReturn:
    """`hand_over` of a connection of aiohttp's. Ends with CancelledError, after which aiohttp writes nothing more."""
    transport, protocol = request.transport, request.protocol
    if transport is None:
        raise asyncio.CancelledError
    try:
        await hand_over(transport, head, serve)
    finally:
        protocol.connection_lost(None)
    raise asyncio.CancelledError


async def close(writer: asyncio.StreamWriter) -> None:
    """Send what is left and close; a peer that does not read is cut off."""
    writer.close()
    try:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await writer.wait_closed()
    finally:
        writer.transport.abort()
