"""The cheapest honest client: bytes made beforehand, a raw asyncio Protocol, and a look at every answer.

What a load generator spends is taken from the server on the same two cores: aiohttp's client would cost more per
request than the server does.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

Answered = Callable[[int, bytes], None]


class Target(NamedTuple):
    """Where the API server is. `context` None: plain HTTP."""

    host: str
    port: int
    context: ssl.SSLContext | None


class WrongAnswer(Exception):
    """The server did not answer what it was asked."""


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """A whole request."""
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\n{length}\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One question at a time; `answered(status, body)` is called with each answer, which has a Content-Length."""

    def __init__(self) -> None:
        self.answered: Answered = lambda status, body: None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pieces: list[bytes] = []
        self._missing = -1  # bytes until the answer is whole; -1: its head is not here yet
        self._head = 0
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self._transport = cast(asyncio.Transport, transport)

    def ask(self, data: bytes, answered: Answered) -> None:
        self.answered = answered
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        if self._missing < 0:
            data = b"".join(self._pieces)
            self._head = data.find(b"\r\n\r\n") + 4
            if self._head < 4:
                return
            self._status, at = int(data[9:12]), data.find(b"Content-Length: ") + 16
            self._missing = self._head + int(data[at : data.index(b"\r", at)]) - len(data)
            self._pieces = [data]
        else:
            self._missing -= len(data)
        if self._missing == 0:
            body, self._missing = b"".join(self._pieces)[self._head :], -1
            self._pieces.clear()
            self.answered(self._status, body)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def close(self) -> None:
        self._transport.abort()


async def connect(target: Target) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, target.host, target.port, ssl=target.context)
    return connection


async def ask(connection: Connection, data: bytes) -> tuple[int, bytes]:
    """One question, awaited."""
    done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
    connection.ask(data, lambda status, body: done.set_result((status, body)))
    ends: set[asyncio.Future[Any]] = {done, connection.lost}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    if not done.done():
        raise WrongAnswer(f"no answer to {data[:80]!r}")
    return done.result()


class Client:
    """Asks one question after the other, as long as there are any; `times`: seconds that each answer took."""

    def __init__(self, connection: Connection, questions: Callable[[], bytes | None], check: Answered) -> None:
        self.times: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._questions = questions
        self._check = check
        self._sent = 0.0

    def start(self) -> None:
        question = self._questions()
        if question is None:
            self.done.set_result(None)
            return
        self._sent = time.perf_counter()
        self._connection.ask(question, self._answered)

    def _answered(self, status: int, body: bytes) -> None:
        self.times.append(time.perf_counter() - self._sent)
        try:
            self._check(status, body)
        except WrongAnswer as error:
            self.done.set_exception(error)
            return
        self.start()

    async def wait(self, seconds: float) -> None:
        """Raises WrongAnswer for a wrong answer, and for none."""
        ends = {self.done, self._connection.lost}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=seconds)
        if not self.done.done():
            raise WrongAnswer(f"no answer, {len(self.times)} answers before")
        self.done.result()
