"""The HTTP side, on aiohttp: TLS connections in, `Request` to the handlers, `Answer`, `Stream` or `Tunnel` out.

Nothing above this file knows aiohttp. Every request is answered: an ApiError with its Status, a bug with a 500 Status
here and its traceback in the journal. Bodies are bounded in size and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from aiohttp import web

from labkit.api.errors import (
    ApiError,
    BadRequest,
    InternalError,
    RequestEntityTooLarge,
    ServerTimeout,
    ServerUnavailable,
)
from labkit.components.kube_apiserver.authn import user_of
from labkit.components.kube_apiserver.messages import JSON, Answer, Request, Stream, Tunnel, User
from labkit.components.kube_apiserver.tokens import Authenticate, bearer
from labkit.components.kube_apiserver.tunnel import splice
from labkit.storage.protocol import StorageError
from labkit.trace import Tracer
from labkit.upgrade import close, take_over

MAX_BODY = 3 * 1024 * 1024  # bytes, as the original's successors have it
BODY_SECONDS = 30.0  # a client that sends its body slower than this is given up
WRITE_SECONDS = 60.0  # a watcher that does not read for so long is cut off
IDLE_SECONDS = 180.0  # a connection without a request, or with half a one, is closed
_CHANGING = frozenset(("POST", "PUT", "PATCH", "DELETE"))

Handler = Callable[[Request], Awaitable[Answer | Stream | Tunnel]]


def status_answer(error: ApiError) -> Answer:
    """The Status of an error."""
    return Answer(error.code, msgspec.json.encode(error.status()))


# What it would tell are clients that do not speak HTTP: they are answered 400. Bugs go through the trace.
_SILENT = logging.getLogger("labkit.http")
_SILENT.disabled = True


class _Connection(web.RequestHandler):
    """One connection; what is no HTTP is answered with a Status as well."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        error = BadRequest(f"not a request of HTTP/1.1: {(message or 'unreadable').partition(chr(10))[0]}")
        body = msgspec.json.encode(error.status())
        response = web.Response(status=error.code, body=body, content_type=JSON)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class HttpServer:
    """Listens on one address. `tokens`: who a bearer token is; `everybody`: who asks without one where there is no TLS
    (tests only)."""

    def __init__(
        self, handler: Handler, trace: Tracer, tokens: Sequence[Authenticate] = (), everybody: User | None = None
    ) -> None:
        self._tokens = tokens
        self._handler = handler
        self._trace = trace
        self._everybody = everybody
        self._streams: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._server = _Server(
            self._serve,
            request_factory=_request,
            access_log=None,
            logger=_SILENT,
            handler_cancellation=True,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=1.0,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=2.0)

    async def start(self, address: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen; the port in use (port 0 takes a free one). Raises OSError when the address is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, address, port, ssl_context=context, backlog=1024)
        await site.start()
        taken = next(iter(self._runner.addresses))
        return int(taken[1])

    async def stop(self) -> None:
        """End the watches, finish what runs, close."""
        self._stopping = True
        for task in self._streams:
            task.cancel()
        await self._runner.cleanup()

    # -- one request ---------------------------------------------------------------------------------------------

    async def _serve(self, incoming: web.BaseRequest) -> web.StreamResponse:
        try:
            request = Request(
                incoming.method, incoming.rel_url.raw_path, incoming.query, _headers(incoming),
                await _body(incoming), self._user(incoming), incoming.rel_url.raw_query_string, incoming.remote or "",
            )  # fmt: skip
            work = self._answer(request)
            # A client that hangs up does not leave a change half told: it is finished and traced.
            changing = request.method in _CHANGING and "upgrade" not in request.headers
            answer = await (asyncio.shield(asyncio.ensure_future(work)) if changing else work)
        except ApiError as error:
            answer = status_answer(error)
        if isinstance(answer, Stream):
            return await self._stream(incoming, answer)
        if isinstance(answer, Tunnel):
            return await self._tunnel(incoming, answer)
        return web.Response(
            status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type, **answer.headers}
        )

    def _user(self, incoming: web.BaseRequest) -> User:
        """By certificate, else by token; nobody when neither is known."""
        transport = incoming.transport
        certificate = transport.get_extra_info("peercert") if transport else None
        if certificate:
            return _user(certificate["subject"])
        token = bearer(incoming.headers.get("Authorization", ""))
        if token:
            users = (authenticate(token) for authenticate in self._tokens)
            return next((user for user in users if user.name), User())
        return self._everybody or User()

    async def _answer(self, request: Request) -> Answer | Stream | Tunnel:
        try:
            return await self._handler(request)
        except StorageError as error:
            return status_answer(ServerUnavailable(f"the store does not answer: {error}"))
        except Exception as error:
            self._report(request.path, error)
            return status_answer(InternalError(f"internal error, see the journal of kube-apiserver: {error!r}"))

    def _report(self, path: str, error: Exception) -> None:
        self._trace.log(f"bug: {path}: {error!r}", level="error", traceback=traceback.format_exc())

    async def _stream(self, incoming: web.BaseRequest, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(
            status=stream.status, headers={"Content-Type": stream.content_type, **stream.headers}
        )
        response.enable_chunked_encoding()
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            async with contextlib.aclosing(stream.chunks):
                await response.prepare(incoming)
                async for chunk in stream.chunks:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await response.write(chunk)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except (ConnectionError, TimeoutError):
            return response  # the client went away
        except Exception as error:
            self._report(incoming.path, error)
            response.force_close()
        finally:
            self._streams.discard(task)
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    async def _tunnel(self, incoming: web.BaseRequest, tunnel: Tunnel) -> web.StreamResponse:
        """Returns never: at the end of the tunnel its connection is closed."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            await take_over(incoming, tunnel.head, lambda reader, writer: splice((reader, writer), tunnel))
        finally:
            self._streams.discard(task)
            await close(tunnel.writer)


@lru_cache(maxsize=4096)
def _user(subject: Any) -> User:
    return user_of({"subject": subject})


def _headers(incoming: web.BaseRequest) -> dict[str, str]:
    """Lower-case names; of a repeated header the values are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in incoming.headers.items():
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(incoming: web.BaseRequest) -> bytes:
    if not incoming.body_exists:
        return b""
    if incoming.headers.get("Expect", "").lower() == "100-continue" and incoming.transport:
        incoming.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await incoming.read()
    except web.HTTPRequestEntityTooLarge:
        raise RequestEntityTooLarge(f"the request body is larger than {MAX_BODY} bytes") from None
    except TimeoutError:
        raise ServerTimeout(f"the request body did not arrive within {BODY_SECONDS:.0f} s") from None


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)
