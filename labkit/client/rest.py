"""The API over HTTP: one method per verb, typed objects in and out, the server's errors as exceptions.

    create  POST   /api/v1/namespaces/NS/pods            get   GET  .../pods/NAME
    list    GET    /api/v1/namespaces/NS/pods            watch GET  .../pods?watch=true      one JSON frame a line
    update  PUT    .../pods/NAME    update_status PUT .../pods/NAME/status    bind POST .../pods/NAME/binding
    delete  DELETE .../pods/NAME

An answer above 399 carries a Status, and the class that the server raised for it is raised here again
(`labkit.api.errors`). When nobody answers, that is ServerUnavailable. Source: the Kubernetes API conventions.

aiohttp is imported by the first method that speaks HTTP: a quarter of the time in which a `labkit` command starts, and
most of them never do.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast
from urllib.parse import quote

import msgspec

import labkit
from labkit import trace
from labkit.api.errors import ApiError, InternalError, ServerUnavailable, from_status
from labkit.api.kinds import kind_of
from labkit.api.types import (
    AnyObject,
    Binding,
    DeleteOptions,
    ListMeta,
    Object,
    ObjectMeta,
    ObjectReference,
    Pod,
    Preconditions,
    Status,
)
from labkit.client import kubeconfig

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

REQUEST_SECONDS = 30.0
WATCH_SECONDS = 300
WATCH_GRACE_SECONDS = 15  # a server that has not ended the watch by then is dead
# A watch may say nothing for minutes, so the kernel asks whether the peer still lives: a machine that lost its power
# is noticed after some 20 s instead of at the end of the watch.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2))


class Listing(msgspec.Struct, Generic[AnyObject]):
    """The answer of a list: the objects, and the revision at which they were read (a watch goes on from there)."""

    items: list[AnyObject]
    resource_version: str


class WatchEvent(msgspec.Struct, Generic[AnyObject]):
    """type: ADDED, MODIFIED, DELETED (with the last state) or BOOKMARK (only metadata.resource_version)."""

    type: str
    object: AnyObject


class _ListBody(msgspec.Struct, Generic[AnyObject]):
    items: list[AnyObject] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class _Frame(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Client:
    """A connection to one API server: one keep-alive session, every request bounded.

    `user_agent` is what the server's log calls us, the name of the program unless told otherwise. `at_once` bounds the
    requests that are under way at a time, watches apart: as many connections are opened, and each costs a handshake.
    """

    def __init__(
        self,
        base_url: str,
        ssl_context: ssl.SSLContext | None = None,
        token: str | None = None,
        *,
        user_agent: str = "",
        at_once: int = sys.maxsize,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._ssl = ssl_context
        self._headers = {"User-Agent": user_agent or f"{_program()}/{labkit.__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._turns = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: str | Path, context: str | None = None, *, at_once: int = sys.maxsize) -> Client:
        """A client with the server and the identity of a kubeconfig; KubeconfigError when it cannot be used."""
        login = kubeconfig.load(path, context)
        return cls(login.server, login.ssl_context, login.token, at_once=at_once)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; watches that still run end."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- verbs -----------------------------------------------------------------------------------------------------

    async def create(self, obj: AnyObject) -> AnyObject:
        """POST: the object as it was stored, with its uid and resourceVersion."""
        path = _path(type(obj), obj.metadata.namespace)
        stored = _decode(await self.raw("POST", path, body=msgspec.json.encode(obj)), type(obj))
        return trace.wrote(Client.create, stored)

    async def get(self, kind: type[AnyObject], name: str, namespace: str = "") -> AnyObject:
        return _decode(await self.raw("GET", _path(kind, namespace, name)), kind)

    async def list(
        self, kind: type[AnyObject], namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listing[AnyObject]:
        """Every object that matches, of all namespaces when none is named."""
        params = _selectors(label_selector, field_selector)
        body = await self.raw("GET", _path(kind, namespace), params=params)
        answer = _decode(body, _ListBody[kind])  # type: ignore[valid-type]
        return Listing(answer.items or [], answer.metadata.resource_version)

    async def update(self, obj: AnyObject) -> AnyObject:
        """PUT; Conflict when the object changed since it was read."""
        path = _path(type(obj), obj.metadata.namespace, obj.metadata.name)
        stored = _decode(await self.raw("PUT", path, body=msgspec.json.encode(obj)), type(obj))
        return trace.wrote(Client.update, stored)

    async def update_status(self, obj: AnyObject) -> AnyObject:
        """PUT to the status subresource: only the status changes."""
        path = _path(type(obj), obj.metadata.namespace, obj.metadata.name, "status")
        stored = _decode(await self.raw("PUT", path, body=msgspec.json.encode(obj)), type(obj))
        return trace.wrote(Client.update_status, stored)

    async def delete(
        self,
        kind: type[Object],
        name: str,
        namespace: str = "",
        *,
        grace_period_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation_policy: str = "",
    ) -> None:
        """DELETE; with a uid only this very object, Conflict when another now has its name; with a resourceVersion only
        as it was then."""
        options = DeleteOptions(
            kind="DeleteOptions", api_version="v1", grace_period_seconds=grace_period_seconds,
            propagation_policy=propagation_policy,
        )  # fmt: skip
        if uid:
            options.preconditions = Preconditions(uid=uid, resource_version=resource_version)
        given = grace_period_seconds is not None or uid or propagation_policy
        await self.raw("DELETE", _path(kind, namespace, name), body=msgspec.json.encode(options) if given else None)

    async def patch(
        self, kind: type[AnyObject], name: str, namespace: str, change: Any, *, strategic: bool = False
    ) -> AnyObject:
        """PATCH with a merge patch, or a strategic one; the object as it then is."""
        content_type = f"application/{'strategic-' if strategic else ''}merge-patch+json"
        body = msgspec.json.encode(change)
        path = _path(kind, namespace, name)
        stored = _decode(await self.raw("PATCH", path, body=body, content_type=content_type), kind)
        return trace.wrote(Client.patch, stored)

    async def bind(self, pod: Pod, node_name: str) -> None:
        """Put a pod on a node; Conflict when it already has one."""
        meta = ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid)
        binding = Binding(metadata=meta, target=ObjectReference(kind="Node", name=node_name))
        path = _path(Pod, pod.metadata.namespace, pod.metadata.name, "binding")
        await self.raw("POST", path, body=msgspec.json.encode(binding))

    async def watch(
        self,
        kind: type[AnyObject],
        namespace: str = "",
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent[AnyObject], None]:
        """What changes after `resource_version`; ends when the server has served its time, and is then asked again.

        Raises Gone when that version is too old to go on from. Close it (`contextlib.aclosing`) when leaving early.
        """
        import aiohttp

        seconds = random.randint(WATCH_SECONDS * 4 // 5, WATCH_SECONDS)
        params = _selectors(label_selector, field_selector) | {
            "watch": "true", "resourceVersion": resource_version, "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=seconds + WATCH_GRACE_SECONDS)
        url = self.base_url + _path(kind, namespace)
        try:
            async with self._http().get(url, params=params, timeout=timeout) as answer:
                if answer.status >= 400:
                    raise _error(answer.status, await answer.read())
                lines = _Lines()
                async for chunk in answer.content.iter_any():
                    for line in lines.feed(chunk):
                        yield _event(line, kind)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _unavailable("GET", url, exc) from exc

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Any request, `path` from /; the body of the answer, or the ApiError that it carries."""
        import aiohttp

        url = self.base_url + path
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            async with (
                self._turns,
                self._http().request(method, url, data=body, params=params, headers=headers) as answer,
            ):
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _unavailable(method, url, exc) from exc
        if answer.status >= 400:
            raise _error(answer.status, content)
        return content

    def _http(self) -> aiohttp.ClientSession:
        """The session, opened at the first request: it belongs to the event loop that runs then."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl or True, socket_factory=_socket),
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=10),
                headers=self._headers,
                trust_env=False,
            )
        return self._session


# -- the small functions -------------------------------------------------------------------------------------------


def _program() -> str:
    """`kube-scheduler` for `python -m labkit.components.kube_scheduler`."""
    started = Path(sys.argv[0])
    return (started.parent.name if started.stem == "__main__" else started.stem).replace("_", "-") or "labkit"


def _path(kind: type[Object], namespace: str = "", name: str = "", subresource: str = "") -> str:
    """`/api/v1/namespaces/default/pods/x/status`."""
    row = kind_of(kind)
    parts = ["namespaces", namespace] if row.namespaced and namespace else []
    parts += [row.resource, *([name] if name else []), *([subresource] if subresource else [])]
    return f"{row.root}/" + "/".join(quote(part, safe="") for part in parts)


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    chosen = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: text for name, text in chosen.items() if text}


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decode(body: bytes | msgspec.Raw, kind: type[T]) -> T:
    """The object in an answer's body; InternalError when the server sent something else."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return cast(T, decoder.decode(body))
    except msgspec.DecodeError as exc:
        raise InternalError(f"the API server's answer is not a {kind}: {exc}") from exc


def _event(line: bytes, kind: type[AnyObject]) -> WatchEvent[AnyObject]:
    frame = _decode(line, _Frame)
    if frame.type == "ERROR":
        raise from_status(_decode(frame.object, Status))
    return WatchEvent(frame.type, _decode(frame.object, kind))


class _Lines:
    """Cuts a stream into its lines, however long; the last one without its newline waits for the rest."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [line for line in whole if line]


def _error(code: int, body: bytes) -> ApiError:
    """The exception in an answer; one made from the code when the body is no Status (a proxy's page, say)."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except msgspec.DecodeError:
        status = Status(status="Failure", message=f"HTTP {code}: {body[:200].decode(errors='replace')}", code=code)
    return from_status(status)


def _unavailable(method: str, url: str, exc: BaseException) -> ServerUnavailable:
    return ServerUnavailable(f"{method} {url}: the API server does not answer: {exc or type(exc).__name__}")


def _socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock
