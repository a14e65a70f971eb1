"""`kubectl port-forward`: for every connection on the learner's side a pair of streams, and a connection in the pod.

streamtype: data    port: 6379   requestid: 0        <->  127.0.0.1:6379 in the pod
streamtype: error   port: 6379   requestid: 0         ->  why it did not work, as text; nothing when it did

That is SPDY's way; clients that have only channels of a WebSocket are served by port_channels.py.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from labkit.components.kubelet.runtime import Connection, RuntimeFailure
from labkit.components.kubelet.spdy import Session, Stream
from labkit.upgrade import close

PIECE = 32 * 1024

Connect = Callable[[int], Awaitable[Connection]]


class Lane(Protocol):
    """One of the two streams of a connection; `write` and `end` raise ConnectionError when the client is gone."""

    async def read(self) -> bytes:
        """Some bytes; b"" when the client has ended its direction."""

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None:
        """Nothing more will be written."""

    def close(self) -> None:
        """What still arrives is thrown away."""


async def serve(session: Session, connect: Connect) -> None:
    """Forward until the client is gone."""
    waiting: dict[str, Stream] = {}  # by requestid: half a pair
    async with asyncio.TaskGroup() as group:
        work: list[asyncio.Task[None]] = []
        while stream := await session.accept():
            name = stream.headers.get("requestid", "")
            other = waiting.pop(name, None)
            if other is None:
                waiting[name] = stream
                continue
            pair = {one.headers.get("streamtype", ""): one for one in (stream, other)}
            if pair.keys() != {"data", "error"}:
                await stream.reset()
                await other.reset()
                continue
            work = [task for task in work if not task.done()]
            port = pair["data"].headers.get("port", "")
            work.append(group.create_task(forward(port, pair["data"], pair["error"], connect)))
        for task in work:
            task.cancel()


async def forward(port: str, data: Lane, error: Lane, connect: Connect) -> None:
    """One connection; what goes wrong is told on the error stream."""
    try:
        try:
            reader, writer = await connect(port_number(port))
        except RuntimeFailure as exc:
            await error.write(str(exc).encode())
        else:
            try:
                await _both_ways(data, reader, writer)
            finally:
                await close(writer)
        await error.end()
        await data.end()
    except OSError:
        pass  # the client is gone, or has closed this one
    finally:
        data.close()
        error.close()


def port_number(text: str) -> int:
    """Raises RuntimeFailure for what is no port."""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 65536:
        raise RuntimeFailure(f"{text!r} is not a port: expected a number from 1 to 65535")
    return int(text)


async def _both_ways(data: Lane, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the pod's side has ended; the client's end is passed on as such, and answers still come."""

    async def to_the_pod() -> None:
        try:
            while piece := await data.read():
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        except OSError:
            return  # the pod does not read any more: what it still says is passed on

    sending = asyncio.create_task(to_the_pod())
    try:
        while piece := await reader.read(PIECE):
            await data.write(piece)
    except OSError:
        return
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
