"""One client's connection: HTTP/1.1 straight on the event loop's transport.

    bytes -> parser.py -> whole requests, queued -> one task answers them in their order -> Answer | Stream | Tunnel

A request costs 12 us here, on aiohttp 27 us (a GET of 1.7 kB, tried with both): one object per connection, one write
per answer, no timer per request (the server looks four times a second whose time is over). A client that asks ahead of
the answers is not read further, a client that does not read is not written to. A change is finished and traced even
when its client has hung up, a read is not. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Protocol, cast

from labkit.api.errors import ApiError, ServerTimeout
from labkit.components.kube_apiserver.busy_poll import BusyPoll
from labkit.components.kube_apiserver.heads import head, is_bodiless
from labkit.components.kube_apiserver.messages import Answer, Outlet, Request, Stream, Tunnel, User
from labkit.components.kube_apiserver.parser import Incoming, Parser, query_of
from labkit.components.kube_apiserver.tunnel import splice
from labkit.upgrade import close, hand_over

BODY_SECONDS = 30.0  # a client that sends its body slower than this is given up
WRITE_SECONDS = 60.0  # a client that does not read for so long is cut off
IDLE_SECONDS = 180.0  # a connection without a request, or with half a head, is closed
LINGER_SECONDS = 1.0  # so long is taken what a refused client still sends, or it would not get to read why
_SMALL = 64 * 1024  # bytes up to which head and body are joined: one record of TLS, one system call
_SLICE = 128 * 1024  # bytes of a larger body that are handed to TLS at once
_CHANGING = frozenset(("POST", "PUT", "PATCH", "DELETE"))


class Owner(Protocol):
    """Whose connections these are: the server."""

    date: bytes  # now, as the header has it
    busy_poll: BusyPoll
    stopping: bool
    streams: set[asyncio.Task[None]]

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def certified(self, transport: asyncio.Transport) -> User | None: ...
    def user_of(self, certified: User | None, headers: dict[str, str]) -> User: ...
    def answer(self, request: Request) -> Awaitable[Answer | Stream | Tunnel]: ...
    def refusal(self, request: Request, error: ApiError) -> Answer: ...
    def report(self, path: str, error: Exception) -> None: ...


class Connection(asyncio.Protocol):
    """Made by the server for each client that comes."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._queue: deque[Incoming] = deque()
        self._task: asyncio.Task[None] | None = None  # answers the queue
        self._changing = False  # what it does must not be cancelled
        self._keep = True  # for another request
        self._deaf = False  # nothing that comes is understood any more
        self._lost = False  # the client is gone, or somebody else's
        self._held = False  # not read from
        self._writable: asyncio.Future[None] | None = None  # there while the client does not read
        self._outlet: Outlet | None = None  # of the stream that is being sent
        self._close_at = self._abort_at = math.inf  # time.monotonic

    # -- the transport's side --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._certified = self._owner.certified(self._transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._close_at = time.monotonic() + IDLE_SECONDS
        self._owner.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._outlet is not None:
            self._outlet.ready, self._outlet = False, None
        self._owner.closed(self)
        self.resume_writing()
        if self._task is not None and not self._changing:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._abort_at = time.monotonic() + WRITE_SECONDS
        self._writable = self._loop.create_future()
        if self._outlet is not None:
            self._outlet.ready = False

    def resume_writing(self) -> None:
        self._abort_at = math.inf
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if self._outlet is not None:
            self._outlet.ready = True
            self._outlet.on_ready()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._parser.early is not None:
            self._parser.early += data
            self._hold()
            return
        whole = self._parser.feed(data)
        if whole:
            self._take(whole)
        elif self._parser.expects and self._task is None:
            self._continue()

    def look(self, now: float) -> None:
        """Called by the server once in a while: is the client's time over?"""
        if now > self._abort_at:
            self._transport.abort()
        elif now > self._close_at:
            self._transport.close()
        elif self._parser.body_since and now > self._parser.body_since + BODY_SECONDS and not self._deaf:
            error = ServerTimeout(f"the request body did not arrive within {BODY_SECONDS:.0f} s")
            self._take([self._parser.slow(error)])

    def end(self) -> None:
        """The server stops: a client that waits for nothing is let go."""
        if self._task is None:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # -- one after the other ---------------------------------------------------------------------------------------

    def _take(self, whole: list[Incoming]) -> None:
        self._queue += whole
        self._deaf, self._close_at = whole[-1].error is not None, math.inf
        if self._task is None:
            self._task = self._loop.create_task(self._work())
        else:
            self._hold()

    def _hold(self) -> None:
        """Enough is read: a client that asks ahead waits."""
        if not self._held:
            self._held = True
            self._transport.pause_reading()

    def _continue(self) -> None:
        self._parser.expects = False
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _work(self) -> None:
        try:
            while self._queue and self._keep and not self._lost:
                await self._serve(self._queue.popleft())
                if self._writable is not None:
                    await self._writable
        except Exception as error:  # a bug: nobody would ever answer here
            self._owner.report("connection", error)
            self._transport.abort()
            return
        finally:
            self._task = None
        if not self._lost:
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        if self._deaf:
            self._close_at = time.monotonic() + LINGER_SECONDS
            return
        if not self._keep:
            self._transport.close()
            return
        self._close_at = math.inf if self._parser.body_since else time.monotonic() + IDLE_SECONDS
        if self._held:
            self._held = False
            self._transport.resume_reading()
        if self._parser.expects:
            self._continue()
        if self._parser.early is not None:  # an upgrade that nobody wanted: what followed are requests
            data, self._parser = self._parser.early, Parser()
            self.data_received(data)

    async def _serve(self, incoming: Incoming) -> None:
        method, headers = incoming.method, incoming.headers
        self._keep = incoming.keep_alive and not self._owner.stopping
        request = Request(
            method, incoming.path, query_of(incoming.query_string), headers, incoming.body,
            self._owner.user_of(self._certified, headers), incoming.query_string, self._address,
        )  # fmt: skip
        if incoming.error is not None:
            self._send(self._owner.refusal(request, incoming.error), method)
            return
        self._changing = method in _CHANGING and "upgrade" not in headers
        self._owner.busy_poll.begun()
        try:
            answer = await self._owner.answer(request)
        finally:
            self._owner.busy_poll.ended()
        self._changing = False
        if isinstance(answer, Answer):
            self._send(answer, method)
        elif isinstance(answer, Stream):
            await self._stream(answer, incoming)
        else:
            await self._tunnel(answer)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _send(self, answer: Answer, method: str) -> None:
        if self._transport.is_closing():
            return
        body = answer.body
        first = self._head(answer, b"Content-Length: %d\r\n" % len(body))
        if method == "HEAD":
            self._transport.write(first)
        elif len(body) <= _SMALL:
            self._transport.write(first + body)
        else:
            self._send_large(first, body)

    def _send_large(self, first: bytes, body: bytes) -> None:
        """In slices: the client reads the first while the next is still encrypted, and OpenSSL's buffer stays small."""
        self._transport.write(first)
        view = memoryview(body)
        for at in range(0, len(body), _SLICE):
            self._transport.write(view[at : at + _SLICE])

    def _head(self, answer: Answer | Stream, framing: bytes) -> bytes:
        return head(answer, self._owner.date, framing, self._keep)

    async def _stream(self, stream: Stream, incoming: Incoming) -> None:
        """To its end, or that of the server; a bug on the way breaks the body off."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._owner.streams.add(task)
        try:
            async with aclosing(stream.chunks):
                await self._pour(stream, incoming)
        except asyncio.CancelledError:
            if self._lost or not self._owner.stopping:
                raise
            self._keep = False
        except Exception as error:
            self._owner.report(incoming.path, error)
            self._transport.abort()
        finally:
            self._owner.streams.discard(task)
            self._outlet = None
        if incoming.chunks and not is_bodiless(stream, incoming.method) and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")

    async def _pour(self, stream: Stream, incoming: Incoming) -> None:
        """Chunk by chunk, at the pace at which the client reads."""
        if is_bodiless(stream, incoming.method):
            self._transport.write(self._head(stream, b"Content-Length: 0\r\n"))
            return
        self._keep = self._keep and incoming.chunks
        self._transport.write(self._head(stream, b"Transfer-Encoding: chunked\r\n" if incoming.chunks else b""))
        write = self._write_chunk if incoming.chunks else self._transport.write
        if stream.outlet is not None:
            self._outlet = stream.outlet
            self._outlet.write, self._outlet.ready = write, self._writable is None
        async for chunk in stream.chunks:
            if self._transport.is_closing():
                return
            if chunk:
                write(chunk)
            if self._writable is not None:
                await self._writable

    def _write_chunk(self, chunk: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    async def _tunnel(self, tunnel: Tunnel) -> None:
        """The connection is HTTP no more; at the tunnel's end it is closed."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._lost = True
        self._owner.closed(self)
        self._owner.streams.add(task)
        try:
            if self._held:
                self._transport.resume_reading()
            early = self._parser.early or b""
            await hand_over(
                self._transport, tunnel.head, lambda reader, writer: splice((reader, writer), tunnel), early
            )
        finally:
            self._owner.streams.discard(task)
            await close(tunnel.writer)
