"""What goes in and out of the handlers, free of any HTTP library: Request in; Answer, Stream or Tunnel out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

from labkit.components.kube_apiserver.routes import Route

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: a certificate's CN and its O's. `name` "" is nobody."""

    name: str = ""
    groups: tuple[str, ...] = ()


@dataclass(slots=True)
class Request:
    """One HTTP request; `headers` has lower-case names, `body` is complete."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: User = User()
    query_string: str = ""  # as it came: parameters may be repeated
    address: str = ""  # of the client
    verb: str = ""  # get, list, watch, create, ...: known once the path was understood
    at: Route | None = None

    @property
    def uri(self) -> str:
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    def flag(self, name: str) -> bool:
        """A query parameter that is true: `?watch=true`, `?watch=1`, or only `?watch`."""
        return name in self.query and self.query[name].lower() not in ("0", "false", "f")

    @property
    def caller(self) -> str:
        """For the trace: who did it, and with what."""
        agent = self.headers.get("user-agent", "").partition(" ")[0]
        return (
            f"{self.method} by {self.user.name or 'nobody'} ({agent})"
            if agent
            else f"{self.method} by {self.user.name}"
        )


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Outlet:
    """Straight into the connection of a Stream, for chunks that come while `chunks` waits: no task has to be woken.

    `write` may be used while the client is `ready`, that is, keeps up reading; `on_ready` is called when it does so
    again. The connection opens the outlet before it asks for the first of `chunks`.
    """

    __slots__ = ("on_ready", "ready", "write")

    def __init__(self) -> None:
        self.ready = False
        self.write: Callable[[bytes], None] = _nowhere
        self.on_ready: Callable[[], None] = _nothing


def _nowhere(chunk: bytes) -> None:
    raise ConnectionError("the outlet is not open")


def _nothing() -> None: ...


@dataclass(slots=True)
class Stream:
    """An answer that goes on: each chunk is sent at once. Closed by the server with `chunks.aclose()`."""

    chunks: AsyncGenerator[bytes, None]
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    outlet: Outlet | None = None


@dataclass(slots=True)
class Tunnel:
    """The client's connection becomes one to somebody else: `head` is that one's whole answer. With a `status` other
    than 101 there is only more of the answer to come, and the client is not listened to."""

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 101
