"""gRPC, the client's side, as far as etcd3's stubs need it: one connection, calls and one-way streams on it.

    POST /etcdserverpb.KV/Txn      body: 0 | length, 4 bytes | protobuf
    200                            body: the same            last headers: grpc-status, grpc-message

Why not grpc.aio: it has a thread of its own wait for the sockets and wakes the event loop for each step of each call. A
call took a client 410 us of processor time there and takes 130 here, alone; 300 and 100 when 16 are under way. Of what
a pod's creation costs the server that was a third. Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import asyncio
import math
import ssl
import struct
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any
from urllib.parse import unquote

import grpc
import hpack

from labkit.storage.http2 import Connection

CONNECT_SECONDS = 2.0  # for one server
AGAIN_SECONDS = 0.1  # after so long a server that was not there is tried again
LOOK_SECONDS = 0.25  # so often it is looked whose deadline has passed
_LENGTH = struct.Struct(">BI")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class CallError(Exception):
    """A call that came to nothing."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


class Channel:
    """To one of several servers ("host:port"), by TLS when there is a `context`. The stubs of generated code take it
    for a grpc.Channel."""

    def __init__(self, servers: Sequence[str], context: ssl.SSLContext | None = None) -> None:
        self._servers = deque(servers)
        self._context = context
        if context is not None:
            context.set_alpn_protocols(["h2"])
        self._connections: list[Connection] = []  # the last is for new calls, the others end theirs
        self._connecting: asyncio.Task[Connection] | None = None
        self._failed = (-math.inf, "")  # when the last attempt failed, and why
        self._looking: asyncio.Task[None] | None = None

    def unary_unary(
        self, method: str, request_serializer: Callable[[Any], bytes], response_deserializer: Callable[[bytes], Any]
    ) -> Callable[..., Any]:
        """`await call(request, timeout=seconds)` -> the answer. Raises CallError."""
        block = _block(method, self._context is not None)

        async def call(request: Any, timeout: float) -> Any:
            connection = await self.connected()
            answer = _Answer(time.monotonic() + timeout)
            number = connection.open(block, _message(request_serializer(request)), answer)
            try:
                return response_deserializer(await answer.whole)
            except asyncio.CancelledError:
                connection.cancel(number)
                raise

        return call

    def stream_stream(
        self, method: str, request_serializer: Callable[[Any], bytes], response_deserializer: Callable[[bytes], Any]
    ) -> Callable[[Any], AsyncGenerator[Sequence[Any], None]]:
        """`async for answers in call(request)`: one request, then what comes, whatever is there at once. Raises
        CallError, also when the server ends the stream."""
        block = _block(method, self._context is not None)

        async def call(request: Any) -> AsyncGenerator[Sequence[Any], None]:
            connection = await self.connected()
            messages = _Messages()
            number = connection.open(block, _message(request_serializer(request)), messages, end=False)
            try:
                while True:
                    yield [response_deserializer(message) for message in await messages.next()]
                    connection.more(number)
            finally:
                connection.cancel(number)

        return call

    async def close(self) -> None:
        tasks = [task for task in (self._connecting, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    # -- the connection ----------------------------------------------------------------------------------------------

    async def connected(self) -> Connection:
        """The connection for a new call, made when there is none. Raises CallError."""
        if self._connections and self._connections[-1].usable:
            return self._connections[-1]
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect(), name="connect to etcd")
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Connection:
        when, why = self._failed
        if time.monotonic() < when + AGAIN_SECONDS:
            raise CallError(grpc.StatusCode.UNAVAILABLE, why)
        for server in list(self._servers):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await self._connect_to(server)
            except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
                why = f"{server}: {error or 'no answer'}"
                self._servers.rotate(-1)
                continue
            if self._looking is None:
                self._looking = asyncio.create_task(self._look(), name="deadlines of calls")
            self._connections.append(connection)
            return connection
        self._failed = (time.monotonic(), why)
        raise CallError(grpc.StatusCode.UNAVAILABLE, why)

    async def _connect_to(self, server: str) -> Connection:
        host, _, port = server.rpartition(":")
        host = host.strip("[]")
        transport, connection = await asyncio.get_running_loop().create_connection(
            Connection, host, int(port), ssl=self._context, server_hostname=host if self._context else None
        )
        try:
            await connection.ready
        except BaseException:
            transport.abort()
            raise
        return connection

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for connection in self._connections:
                connection.look(time.monotonic())
            self._connections = [one for one in self._connections if one.usable or one.busy]


class _Answer:
    """Of a call: one message."""

    __slots__ = ("_parts", "deadline", "whole")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.whole: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []

    def received(self, data: bytes) -> bool:
        self._parts.append(data)
        return True

    def ended(self, headers: dict[str, str]) -> None:
        if self.whole.done():
            return
        error = _error_of(headers)
        if error is None:
            self.whole.set_result(b"".join(self._parts)[_LENGTH.size :])
        else:
            self.whole.set_exception(error)

    def broke(self, why: str, *, late: bool = False) -> None:
        code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.UNAVAILABLE
        if not self.whole.done():
            self.whole.set_exception(CallError(code, why))


class _Messages:
    """Of a stream: message after message. No more room is given to the server while some wait to be taken."""

    __slots__ = ("_error", "_rest", "_there", "_whole", "deadline")

    def __init__(self) -> None:
        self.deadline = math.inf
        self._rest = b""
        self._whole: list[bytes] = []
        self._there = asyncio.Event()
        self._error: CallError | None = None

    async def next(self) -> list[bytes]:
        """All that are there, at least one. Raises CallError."""
        await self._there.wait()
        if not self._whole and self._error is not None:
            raise self._error
        messages, self._whole = self._whole, []
        if self._error is None:
            self._there.clear()
        return messages

    def received(self, data: bytes) -> bool:
        self._rest += data
        while len(self._rest) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._rest)[1]
            if len(self._rest) < end:
                break
            self._whole.append(self._rest[_LENGTH.size : end])
            self._rest = self._rest[end:]
        if self._whole:
            self._there.set()
        return not self._whole

    def ended(self, headers: dict[str, str]) -> None:
        self._end(_error_of(headers) or CallError(grpc.StatusCode.UNAVAILABLE, "the stream was ended"))

    def broke(self, why: str, *, late: bool = False) -> None:
        self._end(CallError(grpc.StatusCode.UNAVAILABLE, why))

    def _end(self, error: CallError) -> None:
        self._error = error
        self._there.set()


def _message(data: bytes) -> bytes:
    return _LENGTH.pack(0, len(data)) + data


def _block(method: str, secure: bool) -> bytes:
    """The headers of every call of a method."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    headers = [
        (":method", "POST"), (":scheme", "https" if secure else "http"), (":path", method), (":authority", "etcd"),
        ("te", "trailers"), ("content-type", "application/grpc"),
    ]  # fmt: skip
    return bytes(encoder.encode(headers))


def _error_of(headers: dict[str, str]) -> CallError | None:
    status = headers.get("grpc-status", "")
    if status == "0":
        return None
    code = _CODES.get(int(status)) if status.isdigit() else None
    details = unquote(headers.get("grpc-message", "")) or f"HTTP {headers.get(':status', 'without a status')}"
    return CallError(code or grpc.StatusCode.UNKNOWN, details)
