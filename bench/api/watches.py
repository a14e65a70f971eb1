"""Watchers by the hundred: raw connections that keep what came and when, and look at it afterwards.

fan_out   clients watchers, count pods made by `creators` connections: every watcher sees each pod once, in order
idle      clients watchers that only wait; then one pod is made, and every one of them must see it
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import msgspec

from bench.api.connection import Client, Target, WrongAnswer, ask, connect, request
from bench.api.figures import Figures, measured, quantile
from bench.api.pods import pod
from bench.processes import resident_mb

if TYPE_CHECKING:
    from bench.api.load import Wish

NAMESPACE = "/api/v1/namespaces/bench"
_MARK = b'"type":"ADDED"'


class _Frame(msgspec.Struct):
    type: str
    object: _Object


class _Object(msgspec.Struct):
    metadata: _Meta


class _Meta(msgspec.Struct):
    name: str
    resourceVersion: str


class Watcher(asyncio.Protocol):
    """Counts events as they come; `frames()` takes the chunked body apart when the time no longer matters."""

    def __init__(self, question: bytes, expected: int) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.complete: asyncio.Future[None] = loop.create_future()
        self.arrivals: list[tuple[float, int]] = []  # when, and how many events had come until then
        self._question = question
        self._expected = expected
        self._pieces: list[bytes] = []
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._question)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self.begun.set_exception(WrongAnswer(f"{data[:200]!r}"))
                return
            self.begun.set_result(None)
        self._pieces.append(data)
        found = (self._tail + data).count(_MARK)
        self._tail = data[1 - len(_MARK) :]
        if not found:
            return
        seen = found + (self.arrivals[-1][1] if self.arrivals else 0)
        self.arrivals.append((time.perf_counter(), seen))
        if seen >= self._expected and not self.complete.done():
            self.complete.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.begun, self.complete):
            if not future.done():
                future.set_exception(WrongAnswer("the server ended the watch"))
                future.exception()  # whoever waits hears of it, others need not

    def frames(self) -> list[_Frame]:
        """Everything that came. Raises WrongAnswer for events out of order."""
        rest = b"".join(self._pieces).partition(b"\r\n\r\n")[2]
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        found = [msgspec.json.decode(line, type=_Frame) for line in body.splitlines()]
        revisions = [int(frame.object.metadata.resourceVersion) for frame in found]
        if revisions != sorted(set(revisions)):
            raise WrongAnswer("a watcher saw events twice or out of order")
        return found


async def watching(target: Target, clients: int, question: bytes, expected: int) -> list[Watcher]:
    loop = asyncio.get_running_loop()
    watchers = []
    for start in range(0, clients, 50):  # not all handshakes at once
        some = await asyncio.gather(
            *(
                loop.create_connection(
                    lambda: Watcher(question, expected), target.host, target.port, ssl=target.context
                )
                for _ in range(start, min(start + 50, clients))
            )
        )
        watchers += [watcher for _, watcher in some]
    async with asyncio.timeout(30):
        await asyncio.gather(*(watcher.begun for watcher in watchers))
    return watchers


async def fan_out(wish: Wish) -> Figures:
    """count: events; p50, p99: from sending the create to an event's arrival, in ms, over all watchers and pods."""
    target, figures = wish.where.target(), Figures()
    connections = [await connect(target) for _ in range(wish.creators)]
    _, listed = await ask(connections[0], request("GET", f"{NAMESPACE}/pods?limit=1"))
    revision = msgspec.json.decode(listed)["metadata"]["resourceVersion"]
    question = request("GET", f"{NAMESPACE}/pods?watch=true&resourceVersion={revision}")
    watchers = await watching(target, wish.clients, question, wish.count)
    sent: dict[str, float] = {}
    names = iter([f"{wish.prefix}-{number}" for number in range(wish.count)])

    def next_pod() -> bytes | None:
        if (name := next(names, None)) is None:
            return None
        sent[name] = time.perf_counter()
        return request("POST", f"{NAMESPACE}/pods", pod(name))

    def check(status: int, body: bytes) -> None:
        if status != 201:
            raise WrongAnswer(f"{status} {body[:300]!r}: expected 201")

    creators = [Client(connection, next_pod, check) for connection in connections]
    with measured(figures, wish.where.pids):
        for creator in creators:
            creator.start()
        async with asyncio.timeout(60):
            await asyncio.gather(*(watcher.complete for watcher in watchers))
        figures.count = wish.clients * wish.count
    await asyncio.gather(*(creator.wait(5) for creator in creators))
    delays = [delay for watcher in watchers for delay in _delays(watcher, sent)]
    figures.p50, figures.p99 = 1e3 * quantile(delays, 0.5), 1e3 * quantile(delays, 0.99)
    return figures


def _delays(watcher: Watcher, sent: dict[str, float]) -> list[float]:
    """Seconds from each pod's request to its event. Raises WrongAnswer unless every pod came exactly once."""
    names = [frame.object.metadata.name for frame in watcher.frames()]
    if sorted(names) != sorted(sent):
        raise WrongAnswer(f"a watcher saw {len(names)} of {len(sent)} pods")
    times: list[float] = []
    for when, until in watcher.arrivals:
        times += [when] * (until - len(times))
    return [when - sent[name] for name, when in zip(names, times, strict=True)]


async def idle(wish: Wish) -> Figures:
    """p50: the server's resident MB with all watchers there."""
    target, figures = wish.where.target(), Figures(count=wish.clients, seconds=1.0)
    watchers = await watching(target, wish.clients, request("GET", f"{NAMESPACE}/pods?watch=true"), 1)
    await asyncio.sleep(0.5)
    figures.p50 = resident_mb(wish.where.pids["server"])
    creator = Client(await connect(target), iter([request("POST", f"{NAMESPACE}/pods", pod("woken"))]).__next__, _made)
    creator.start()
    async with asyncio.timeout(30):
        await asyncio.gather(*(watcher.complete for watcher in watchers))
    return figures


def _made(status: int, body: bytes) -> None:
    if status != 201:
        raise WrongAnswer(f"{status} {body[:300]!r}: expected 201")
