"""HTTP/2, the client's side, as far as gRPC needs it: many requests at once on one connection.

    9 bytes: length, type, flags, stream | payload       client: HEADERS DATA(END_STREAM)
                                                         server: HEADERS DATA ... HEADERS(END_STREAM)

Frames that are written in one round of the event loop leave together: one TLS record, one system call, one wake-up of
the server. The server is told to keep no table of headers (SETTINGS_HEADER_TABLE_SIZE 0): equal headers are then equal
bytes, and hpack has to look at each such block only once. Both directions have windows: who has sent so many bytes
waits until the other side gives room. How many requests are under way at once is not limited: etcd sets no limit.
Source: RFC 9113, RFC 7541.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from functools import lru_cache
from typing import Protocol, cast

import hpack

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_CANCEL = 8
_INITIAL_WINDOW_SIZE = 4
_FRAME = struct.Struct(">BHBBI")
_SETTING = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")

WINDOW = 4 * 1024 * 1024  # bytes that the server may send on a stream before it is given room again
_LARGEST_WINDOW = 2**31 - 1  # for the connection: its streams have their own
_OURS = ((1, 0), (2, 0), (_INITIAL_WINDOW_SIZE, WINDOW))  # HEADER_TABLE_SIZE 0, ENABLE_PUSH 0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FIRST_WINDOW = 65_535  # what both sides have until they say otherwise
_LAST = 2**31 - 1  # stream's number: then another connection is needed
_LARGEST_FRAME = 16_384  # bytes of payload that every server takes

PING_SECONDS = 10.0  # a server that is needed and silent for so long is asked whether it is there
PONG_SECONDS = 3.0  # and has so long to say so


class Receiver(Protocol):
    """Who asked. `deadline`: when it will have waited too long, by time.monotonic."""

    deadline: float

    def received(self, data: bytes) -> bool:
        """Part of the body; whether more may come (else it calls `Connection.more` when it does)."""

    def ended(self, headers: dict[str, str]) -> None:
        """The answer is whole; its last headers."""

    def broke(self, why: str, *, late: bool = False) -> None:
        """There will be no answer. `late`: the deadline has passed."""


class _Stream:
    """One request. window: bytes that may still be sent; owed: bytes received for which no room was given again."""

    __slots__ = ("ending", "owed", "receiver", "window")

    def __init__(self, receiver: Receiver, window: int) -> None:
        self.receiver = receiver
        self.window = window
        self.owed = 0
        self.ending = False  # with the headers that are being read


class Connection(asyncio.Protocol):
    """One connection. `ready`: done when the server has said its settings; raises ConnectionError."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.usable = True  # for new requests
        self._streams: dict[int, _Stream] = {}
        self._next = 1
        self._rest = b""  # of a frame that is not whole yet
        self._block = b""  # of headers that go on in the next frame
        self._window = self._initial_window = _FIRST_WINDOW
        self._owed = 0
        self._unsent: deque[tuple[int, bytes, bool]] = deque()  # bodies that wait for room
        self._out: list[bytes] = []
        self._heard = time.monotonic()
        self._asked = 0.0  # when the server was asked whether it is there

    # -- requests --------------------------------------------------------------------------------------------------

    def open(self, block: bytes, body: bytes, receiver: Receiver, *, end: bool = True) -> int:
        """Send a request; the number of its stream. block: its headers, encoded without a table; end: no more body."""
        number, self._next = self._next, self._next + 2
        self.usable = self.usable and self._next <= _LAST
        stream = self._streams[number] = _Stream(receiver, self._initial_window)
        self._send(_HEADERS, _END_HEADERS, number, block)
        if len(body) <= min(_LARGEST_FRAME, self._window, stream.window) and not self._unsent:
            self._send_data(number, stream, body, end)
        else:
            self._unsent.append((number, body, end))
            self._send_what_has_room()
        return number

    def cancel(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        if self._streams.pop(number, None) is not None:
            self._send(_RST_STREAM, 0, number, _NUMBER.pack(_CANCEL))

    def more(self, number: int) -> None:
        """Give the server room again for what came on this stream, when it is worth a frame."""
        stream = self._streams.get(number)
        if stream is not None and stream.owed > WINDOW // 4:
            self._send(_WINDOW_UPDATE, 0, number, _NUMBER.pack(stream.owed))
            stream.owed = 0

    @property
    def busy(self) -> bool:
        """Somebody waits for an answer."""
        return bool(self._streams)

    def look(self, now: float) -> None:
        """To be called once in a while: who has waited too long, and is the server still there?"""
        for number, stream in list(self._streams.items()):
            if now > stream.receiver.deadline:
                self.cancel(number)
                stream.receiver.broke("no answer in time", late=True)
        if not self._streams or now < self._heard + PING_SECONDS:
            self._asked = 0.0
        elif not self._asked:
            self._asked = now
            self._send(_PING, 0, 0, bytes(8))
        elif now > self._asked + PONG_SECONDS:
            self._transport.abort()

    def close(self) -> None:
        self.usable = False
        self._transport.close()

    # -- sending ---------------------------------------------------------------------------------------------------

    def _send(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        size = len(payload)
        self._out += (_FRAME.pack(size >> 16, size & 0xFFFF, kind, flags, number), payload)

    def _flush(self) -> None:
        data, self._out = b"".join(self._out), []
        self._transport.write(data)

    def _send_data(self, number: int, stream: _Stream, data: bytes, end: bool) -> None:
        self._window -= len(data)
        stream.window -= len(data)
        self._send(_DATA, _END_STREAM if end else 0, number, data)

    def _send_what_has_room(self) -> None:
        """In order: a body that has to wait makes those behind it wait."""
        while self._unsent:
            number, body, end = self._unsent.popleft()
            stream = self._streams.get(number)
            while stream is not None and body:
                room = min(_LARGEST_FRAME, self._window, stream.window)
                if room <= 0:
                    self._unsent.appendleft((number, body, end))
                    return
                part, body = body[:room], body[room:]
                self._send_data(number, stream, part, end and not body)

    # -- receiving -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        ours = b"".join([_SETTING.pack(*setting) for setting in _OURS])
        self._transport.write(_PREFACE)
        self._send(_SETTINGS, 0, 0, ours)
        self._send(_WINDOW_UPDATE, 0, 0, _NUMBER.pack(_LARGEST_WINDOW - _FIRST_WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        why = f"connection lost: {exc}" if exc else "connection closed"
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))
        self._give_up(0, why)

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= _FRAME.size:
            high, low, kind, flags, number = _FRAME.unpack_from(data, at)
            end = at + _FRAME.size + (high << 16 | low)
            if end > size:
                break
            payload = data[at + _FRAME.size : end]
            at = end
            if kind == _DATA:
                self._on_data(flags, number, payload)
            elif kind in (_HEADERS, _CONTINUATION):
                self._on_headers(kind, flags, number, payload)
            else:
                self._on_control(kind, flags, number, payload)
        self._rest = data[at:]

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._owed += len(payload)
        if self._owed > _LARGEST_WINDOW // 2:
            self._send(_WINDOW_UPDATE, 0, 0, _NUMBER.pack(self._owed))
            self._owed = 0
        stream = self._streams.get(number)
        if stream is None:
            return  # nobody waits for it any more
        stream.owed += len(payload)
        ready = stream.receiver.received(_unpadded(payload, flags))
        if flags & _END_STREAM:
            self._ended(number, {})
        elif ready:
            self.more(number)

    def _on_headers(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _HEADERS:
            payload = _unpadded(payload, flags)[5 if flags & _PRIORITY else 0 :]
            if (stream := self._streams.get(number)) is not None:
                stream.ending = bool(flags & _END_STREAM)
        self._block += payload
        if not flags & _END_HEADERS:
            return
        block, self._block = self._block, b""
        headers = _headers(block)
        if (stream := self._streams.get(number)) is not None and stream.ending:
            self._ended(number, headers)

    def _ended(self, number: int, headers: dict[str, str]) -> None:
        self._streams.pop(number).receiver.ended(headers)

    def _on_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._on_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self._send(_PING, _ACK, 0, payload)
        elif kind == _WINDOW_UPDATE:
            self._on_window_update(number, _NUMBER.unpack(payload)[0])
        elif kind == _RST_STREAM and (stream := self._streams.pop(number, None)) is not None:
            stream.receiver.broke(f"the request was given up: error {_NUMBER.unpack(payload)[0]} of HTTP/2")
        elif kind == _GOAWAY:  # no new requests; those after the last one that it knows have not been done
            self.usable = False
            self._give_up(_NUMBER.unpack_from(payload)[0] + 1, "the server is stopping")

    def _on_settings(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == _INITIAL_WINDOW_SIZE:
                for stream in self._streams.values():
                    stream.window += value - self._initial_window
                self._initial_window = value
        self._send(_SETTINGS, _ACK, 0, b"")
        if not self.ready.done():
            self.ready.set_result(None)
        self._send_what_has_room()

    def _on_window_update(self, number: int, size: int) -> None:
        if number == 0:
            self._window += size
        elif (stream := self._streams.get(number)) is not None:
            stream.window += size
        self._send_what_has_room()

    def _give_up(self, first: int, why: str) -> None:
        """All requests from this stream on."""
        for number in [number for number in self._streams if number >= first]:
            self._streams.pop(number).receiver.broke(why)


def _unpadded(payload: bytes, flags: int) -> bytes:
    return payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload


@lru_cache(maxsize=256)
def _headers(block: bytes) -> dict[str, str]:
    """Decoded without a table: see above."""
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    decoder.header_table_size = 0
    return dict(cast("list[tuple[str, str]]", decoder.decode(block)))
