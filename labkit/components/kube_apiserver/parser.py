"""Bytes become requests: HTTP/1.1 by httptools (llhttp, as Node.js and uvicorn have it), with limits.

llhttp is strict: bare line feeds, Content-Length beside Transfer-Encoding, a header that goes on in the next line are
no requests. Behind whatever is none nothing can be understood any more. Source: RFC 9112.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

import httptools

from labkit.api.errors import ApiError, BadRequest, RequestEntityTooLarge

MAX_HEAD = 16 * 1024  # bytes of request line and headers
MAX_BODY = 3 * 1024 * 1024  # bytes, as the original's successors have it


class Incoming(NamedTuple):
    """A request as it was read. keep_alive: the connection is good for more; chunks: the client knows chunked bodies
    (HTTP/1.0 does not); error: why it is to be refused."""

    method: str
    path: str
    query_string: str
    headers: dict[str, str]  # names in lower case; of a repeated header the values, joined by commas
    body: bytes
    keep_alive: bool
    chunks: bool
    error: ApiError | None = None


class Parser:
    """The requests of one connection: `feed` what came, get what is whole.

    body_since: when (time.monotonic) the body that is being read began, else 0.0; expects: its sender waits for a
    `100 Continue`; early: what came behind a request to upgrade, and is not ours to understand.
    """

    def __init__(self) -> None:
        self.expects = False
        self.body_since = 0.0
        self.early: bytes | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._whole: list[Incoming] = []
        self._in_head = False
        self.on_message_begin()
        self._in_head = False

    def feed(self, data: bytes) -> list[Incoming]:
        """The requests that are whole now. After one with an `error` there is no use in feeding more."""
        try:
            self._parser.feed_data(data)
            if self._in_head:  # what the parser holds back may be endless
                self._seen += len(data)
                if self._seen > 2 * MAX_HEAD:
                    self._whole.append(self._incoming(False, _head_too_long()))
        except httptools.HttpParserUpgrade as upgrade:
            self.early = data[upgrade.args[0] :]
        except httptools.HttpParserError as fault:
            cause = fault.__context__
            error = cause.error if isinstance(cause, _TooMuch) else BadRequest(f"not a request of HTTP/1.1: {fault}")
            self._whole.append(self._incoming(False, error))
        whole, self._whole = self._whole, []
        return whole

    def slow(self, error: ApiError) -> Incoming:
        """The request that is still being read, refused."""
        return self._incoming(False, error)

    # -- called by httptools ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._seen = self._head = self._size = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._head += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text
        self._head += len(name) + len(value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head > MAX_HEAD:
            raise _TooMuch(_head_too_long())
        length = self._headers.get("content-length", "0")
        if len(length) > 9 or int(length) > MAX_BODY:
            raise _TooMuch(_body_too_long())
        if length != "0" or "transfer-encoding" in self._headers:
            self.body_since = time.monotonic()
            self.expects = self._headers.get("expect", "").lower() == "100-continue"

    def on_body(self, data: bytes) -> None:
        self._body.append(data)
        self._size += len(data)
        if self._size > MAX_BODY:
            raise _TooMuch(_body_too_long())

    def on_message_complete(self) -> None:
        self.expects, self.body_since = False, 0.0
        self._whole.append(self._incoming(self._parser.should_keep_alive()))

    def _incoming(self, keep_alive: bool, error: ApiError | None = None) -> Incoming:
        target = self._target.decode("ascii", "replace")
        if not target.startswith("/") and "://" in target:  # as a proxy is asked
            target = "/" + target.partition("://")[2].partition("/")[2]
        path, _, query = target.partition("#")[0].partition("?")
        method = self._parser.get_method().decode("ascii", "replace")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        chunks = self._parser.get_http_version() != "1.0"
        return Incoming(method, path, query, self._headers, body, keep_alive, chunks, error)


class _TooMuch(Exception):
    """Raised out of httptools' callbacks; carries what the client is told."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


def _head_too_long() -> ApiError:
    return BadRequest(f"request line and headers are longer than {MAX_HEAD} bytes")


def _body_too_long() -> ApiError:
    return RequestEntityTooLarge(f"the request body is larger than {MAX_BODY} bytes")


@lru_cache(maxsize=1024)  # 6 us the first time; clients ask the same again and again
def query_of(text: str) -> dict[str, str]:
    """The first value of each parameter. To be read only: all requests of this query share it."""
    return dict(reversed(parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="replace")))
