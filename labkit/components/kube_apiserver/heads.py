"""What stands before the body of an answer: status, type, date, further headers, and how long the body is."""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus

from labkit.components.kube_apiserver.messages import Answer, Stream

_BODILESS = frozenset((204, 304))
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def head(answer: Answer | Stream, date: bytes, framing: bytes, keep: bool) -> bytes:
    """`framing`: the header that says how long the body is, or nothing: until the connection ends, unless it is to be
    kept."""
    first = _first_lines(answer.status, answer.content_type)
    more = b"".join([header(name, value) for name, value in answer.headers.items()]) if answer.headers else b""
    end = b"\r\n" if keep else b"Connection: close\r\n\r\n"
    return b"%b%b\r\n%b%b%b" % (first, date, more, framing, end)


def is_bodiless(answer: Answer | Stream, method: str) -> bool:
    return method == "HEAD" or answer.status in _BODILESS


@lru_cache(maxsize=256)
def _first_lines(status: int, content_type: str) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {_UNPRINTABLE.sub(' ', content_type)}\r\nDate: ".encode()


def header(name: str, value: str) -> bytes:
    """A line of the head; what would end it early becomes a space."""
    return f"{name}: {_UNPRINTABLE.sub(' ', value)}\r\n".encode()
