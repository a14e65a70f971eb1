"""`kubectl port-forward`: for every connection on the learner's side a pair of streams, and a connection to the pod.

streamtype: data    port: 6379   requestid: 0        <->  POD_IP:6379
streamtype: error   port: 6379   requestid: 0         ->  why it did not work, as text; nothing when it did
"""

import asyncio
from collections.abc import Awaitable, Callable

from labkit.components.kubelet.runtime import Connection, RuntimeFailure
from labkit.components.kubelet.spdy import Session, Stream
from labkit.upgrade import close

PIECE = 32 * 1024

Connect = Callable[[int], Awaitable[Connection]]


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
            work.append(group.create_task(_forward(pair["data"], pair["error"], connect)))
        for task in work:
            task.cancel()


async def _forward(data: Stream, error: Stream, connect: Connect) -> None:
    """One connection; what goes wrong is told on the error stream."""
    try:
        try:
            reader, writer = await connect(_port(data))
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


def _port(stream: Stream) -> int:
    text = stream.headers.get("port", "")
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise RuntimeFailure(f"{text!r} is not a port")
    return int(text)


async def _both_ways(data: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
