"""How a proxied request is passed on, and what comes back of it.

to the backend    the client's headers, but not who it is; X-Forwarded-Uri, -Host and -Proto say what it asked for
to the client     as it comes, nothing is held back; links and redirects within the backend get the proxy's prefix
an upgrade        (WebSocket) becomes a tunnel; refused, it is an answer like any other and the connection is closed
Source: pkg/util/proxy/transport.go and pkg/registry/generic/rest/proxy.go of Kubernetes 1.0.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from labkit.api.errors import ServerUnavailable
from labkit.components.kube_apiserver.html_links import rewritten, unzipped
from labkit.components.kube_apiserver.messages import TEXT, Request, Stream, Tunnel
from labkit.components.kube_apiserver.tunnel import CONNECT_SECONDS, dig

# What is said between two neighbours only, and who the user is.
_OWN_HEADERS = frozenset((
    "authorization", "connection", "content-length", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "te", "trailer", "transfer-encoding", "upgrade",
))  # fmt: skip
_PACKINGS = ("gzip", "x-gzip")
_PREFIX = "x-forwarded-"
_UNSAID = ("accept", "accept-encoding", "content-type", "user-agent")  # when the client does not say it


@dataclass(frozen=True, slots=True)
class Backend:
    """Who is asked: HOST:PORT, and the context of TLS, None for plain HTTP."""

    address: str
    context: ssl.SSLContext | None = None

    @property
    def base(self) -> str:
        return f"{'https' if self.context else 'http'}://{self.address}"


@lru_cache(maxsize=1)
def anybody() -> ssl.SSLContext:
    """TLS with somebody whose certificate nobody vouches for: a pod's is its own matter, as in the original."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """What a proxy passes on; the names that `Connection` lists are not meant for others either."""
    mine = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return {
        name: value
        for name, value in headers.items()
        if name not in _OWN_HEADERS and name not in mine and not name.startswith(_PREFIX)
    }


def forwarded(request: Request) -> dict[str, str]:
    """What is told of the client's own request."""
    told = {"X-Forwarded-Uri": request.path, "X-Forwarded-Proto": "https", "X-Forwarded-For": request.address}
    return told | ({"X-Forwarded-Host": request.headers["host"]} if "host" in request.headers else {})


async def ask(session: aiohttp.ClientSession, backend: Backend, request: Request, target: str, prefix: str) -> Stream:
    """The answer as it comes; redirects are the client's to follow. `prefix`: the path that leads to the backend's
    root. Raises ServerUnavailable."""
    url = backend.base + target
    try:
        response = await session.request(
            request.method, URL(url, encoded=True), data=request.body or None, ssl=backend.context or True,
            headers=passed_on(request.headers) | forwarded(request), skip_auto_headers=_UNSAID, allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )  # fmt: skip
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ServerUnavailable(f"error trying to reach {url}: {error or type(error).__name__}") from error
    headers = passed_on({name.lower(): value for name, value in response.headers.items()})
    kind = headers.pop("content-type", TEXT)
    if "location" in headers:
        headers["location"] = located(headers["location"], backend.address, prefix)
    chunks = pieces(response)
    if kind.partition(";")[0].strip() == "text/html" and response.status != 206:  # a part may begin within a tag
        packing = headers.get("content-encoding", "identity").lower()
        if packing in _PACKINGS:
            del headers["content-encoding"]
            chunks = unzipped(chunks)
        if packing in (*_PACKINGS, "identity"):
            chunks = rewritten(chunks, prefix)
    return Stream(chunks, kind, response.status, headers)


async def pieces(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The body as it arrives; the connection is given back or closed with it."""
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (TimeoutError, aiohttp.ClientError):
        return  # it went away: what came so far stands
    finally:
        response.close()


def located(location: str, address: str, prefix: str) -> str:
    """Where a redirect leads from outside; to another host, or relative to the page, as it was."""
    parts = urlsplit(location)
    if (parts.netloc and parts.netloc != address) or not parts.path.startswith("/"):
        return location
    path = parts.path if parts.path.startswith(f"{prefix}/") else prefix + parts.path
    return parts._replace(scheme="", netloc="", path=path).geturl()


async def upgrade(backend: Backend, request: Request, target: str, prefix: str) -> Tunnel:
    """A tunnel to the backend, once it has agreed; until then it is only listened to. Raises InternalError."""
    headers = passed_on(request.headers) | forwarded(request)
    headers |= {"Connection": "Upgrade", "Upgrade": request.headers["upgrade"], "Host": backend.address}
    if request.body:
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    sent = "\r\n".join([*lines, "", ""]).encode() + request.body
    tunnel = await dig(backend.address, backend.context, sent)
    if tunnel.status != 101:
        tunnel.head = last_answer(tunnel.head, backend.address, prefix)
    return tunnel


def last_answer(head: bytes, address: str, prefix: str) -> bytes:
    """A refused upgrade: nothing comes after it, or the client would go on to speak to the backend."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    kept = [line for line in lines if line.partition(":")[0].strip().lower() not in ("connection", "keep-alive")]
    for number, line in enumerate(kept):
        name, _, value = line.partition(":")
        if name.strip().lower() == "location":
            kept[number] = f"{name}: {located(value.strip(), address, prefix)}"
    return "\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1")
