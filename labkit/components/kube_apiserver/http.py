"""The HTTP side: listens, knows who is there, and answers whatever comes.

Every request is answered: an ApiError with its Status, a bug with a 500 Status here and its traceback in the journal.
How bytes become requests is connection.py; nothing above this file knows of either.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Any

import msgspec

from labkit.api.errors import ApiError, InternalError
from labkit.components.kube_apiserver.authn import user_of
from labkit.components.kube_apiserver.busy_poll import BusyPoll
from labkit.components.kube_apiserver.connection import Connection
from labkit.components.kube_apiserver.messages import Answer, Request, Stream, Tunnel, User
from labkit.components.kube_apiserver.tokens import Authenticate, bearer
from labkit.trace import Tracer

HANDSHAKE_SECONDS = 20.0
LOOK_SECONDS = 0.25  # so often the server looks whose time is over
STOP_SECONDS = 2.0  # requests that take longer than this are not waited for at the end
# A client whose machine lost its power is noticed after a minute and a half, not after two hours.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))

Handler = Callable[[Request], Awaitable[Answer | Stream | Tunnel]]
Refused = Callable[[Request, int], None]


def status_answer(error: ApiError) -> Answer:
    """The Status of an error."""
    return Answer(error.code, msgspec.json.encode(error.status()))


class HttpServer:
    """Listens on one address. `tokens`: who a bearer token is; `everybody`: who asks without one where there is no TLS
    (tests only). `refused` hears of what was no request and never came to the handler."""

    def __init__(
        self, handler: Handler, refused: Refused, trace: Tracer, tokens: Sequence[Authenticate] = (),
        everybody: User | None = None,
    ) -> None:  # fmt: skip
        self.date = b""
        self.busy_poll = BusyPoll()
        self.stopping = False
        self.streams: set[asyncio.Task[None]] = set()
        self._tokens = tokens
        self._handler = handler
        self._refused = refused
        self._trace = trace
        self._everybody = everybody
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self, address: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen; the port in use (port 0 takes a free one). Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self.date = formatdate(usegmt=True).encode()
        self._server = await loop.create_server(
            lambda: Connection(self), address, port, ssl=context, backlog=1024,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
            ssl_shutdown_timeout=STOP_SECONDS if context else None,
        )  # fmt: skip
        self._looking = asyncio.create_task(self._look(), name="connections")
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End the watches, finish what runs, close."""
        self.stopping = True
        if self._server is None or self._looking is None:
            return
        self._server.close()
        for task in self.streams:
            task.cancel()
        deadline = time.monotonic() + STOP_SECONDS
        while (self._connections or self.streams) and time.monotonic() < deadline:
            for connection in list(self._connections):
                connection.end()
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self.date, now = formatdate(usegmt=True).encode(), time.monotonic()
            for connection in list(self._connections):
                connection.look(now)
            await asyncio.sleep(LOOK_SECONDS)

    # -- what a connection asks ------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        if self.stopping:  # it was waiting to be accepted: a watch on it would hear of nothing for ever
            connection.abort()
        else:
            self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def certified(self, transport: asyncio.Transport) -> User | None:
        """Whom the client's certificate names: looked at once per connection."""
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, seconds in _KEEPALIVE:
                    sock.setsockopt(socket.IPPROTO_TCP, option, seconds)
        certificate = transport.get_extra_info("peercert")
        return _user(certificate["subject"]) if certificate else None

    def user_of(self, certified: User | None, headers: dict[str, str]) -> User:
        """By certificate, else by token; nobody when neither is known."""
        if certified is not None:
            return certified
        token = bearer(headers.get("authorization", ""))
        if token:
            users = (authenticate(token) for authenticate in self._tokens)
            return next((user for user in users if user.name), User())
        return self._everybody or User()

    async def answer(self, request: Request) -> Answer | Stream | Tunnel:
        """Whatever happens, an answer."""
        try:
            return await self._handler(request)
        except Exception as error:
            self.report(request.path, error)
            return status_answer(InternalError(f"internal error, see the journal of kube-apiserver: {error!r}"))

    def refusal(self, request: Request, error: ApiError) -> Answer:
        """For what is no request: not HTTP, too long, too slow."""
        self._refused(request, error.code)
        return status_answer(error)

    def report(self, path: str, error: Exception) -> None:
        self._trace.log(f"bug: {path}: {error!r}", level="error", traceback=traceback.format_exc())


@lru_cache(maxsize=4096)
def _user(subject: Any) -> User:
    return user_of({"subject": subject})
