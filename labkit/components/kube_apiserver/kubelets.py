"""The way to the kubelets, over TLS with the kubelet-client certificate: logs, and requests that become streams.

GET .../pods/NAME/log?container=C&follow=true  ->  GET https://NODE:10250/containerLogs/NAMESPACE/POD/C?follow=true
POST .../pods/NAME/exec?command=ls, Upgrade: SPDY/3.1  ->  POST https://NODE:10250/exec/NAMESPACE/POD/C?command=ls
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import quote

import aiohttp

from labkit.api import times
from labkit.api.errors import ApiError, BadRequest, Forbidden, InternalError, NotFound, ServerUnavailable
from labkit.api.types import Node, Pod
from labkit.components.kube_apiserver.backends import pieces
from labkit.components.kube_apiserver.bodies import number
from labkit.components.kube_apiserver.messages import TEXT, Request, Stream, Tunnel
from labkit.components.kube_apiserver.tunnel import CONNECT_SECONDS, dig, request_head
from labkit.upgrade import close

REFUSAL_SECONDS = 2.0
SUMMARY_SECONDS = 2.0
IDLE_SECONDS = 30.0  # without `follow`, so long may the kubelet say nothing
_ADDRESS_TYPES = ("InternalIP", "LegacyHostIP", "ExternalIP", "Hostname")
_NUMBERS = ("tailLines", "sinceSeconds", "limitBytes")
_FLAGS = ("follow", "timestamps", "previous")


def node_address(node: Node) -> str:
    """Where its kubelet listens."""
    addresses = {address.type: address.address for address in node.status.addresses}
    return next((addresses[type] for type in _ADDRESS_TYPES if addresses.get(type)), node.metadata.name)


def chosen_container(pod: Pod, asked: str) -> str:
    """The container whose log is meant; raises BadRequest."""
    names, pod_name = [container.name for container in pod.spec.containers], pod.metadata.name
    if asked:
        if asked not in names:
            raise BadRequest(f"container {asked} is not valid for pod {pod_name}")
        return asked
    if len(names) != 1:
        raise BadRequest(f"a container name must be specified for pod {pod_name}, choose one of: [{' '.join(names)}]")
    return names[0]


def log_query(request: Request) -> dict[str, str]:
    """The parameters that go on to the kubelet, checked; raises BadRequest."""
    query = {name: str(number(request.query[name], name)) for name in _NUMBERS if request.query.get(name)}
    query |= {name: "true" for name in _FLAGS if request.flag(name)}
    if since := request.query.get("sinceTime"):
        query["sinceTime"] = since
        try:
            times.canonical(since)
        except times.TimeError as error:
            raise BadRequest(f"sinceTime: {error}") from error
    return query


def pod_path(what: str, pod: Pod, container: str = "") -> str:
    """`/exec/NAMESPACE/POD/CONTAINER` of a kubelet."""
    parts = (what, pod.metadata.namespace, pod.metadata.name, *filter(None, [container]))
    return "".join("/" + quote(part, safe="") for part in parts)


class Kubelets:
    """A client of all kubelets; made inside the event loop, ended with `close()`. `context` None: plain HTTP."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.port = port
        self.context = context
        self._scheme = "https" if context else "http"
        connector = aiohttp.TCPConnector(ssl=context or False, limit=0)
        # whoever is proxied to may set cookies: they are the client's to keep, not ours to hand to others
        self.session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def log(self, request: Request, pod: Pod, node: Node) -> Stream:
        """The log of a pod's container, as it comes."""
        container, query = chosen_container(pod, request.query.get("container", "")), log_query(request)
        url = f"{self.node_url(node)}{pod_path('containerLogs', pod, container)}"
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=None if "follow" in query else IDLE_SECONDS
        )
        try:
            response = await self.session.get(url, params=query, timeout=timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise InternalError(f'Get "{url}": {error or type(error).__name__}') from error
        if response.status != 200:
            raise refusal(response.status, (await response.text())[:4096].strip())
        return Stream(pieces(response), TEXT)

    async def tunnel(self, request: Request, node: Node, path: str) -> Tunnel:
        """The kubelet's side of a request that is to become a stream; what the kubelet refuses is raised."""
        address = self.address(node)
        tunnel = await dig(address, self.context, request_head(request, path, address))
        if tunnel.status == 101:
            return tunnel
        try:
            async with asyncio.timeout(REFUSAL_SECONDS):
                text = await tunnel.reader.read(4096)
        except TimeoutError:
            text = b""
        finally:
            await close(tunnel.writer)
        raise refusal(tunnel.status, text.decode(errors="replace").strip())

    async def summary(self, node: Node) -> bytes:
        """The kubelet's figures of usage (labkit/api/summary.py)."""
        url = f"{self.node_url(node)}/stats/summary"
        try:
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=SUMMARY_SECONDS)) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerUnavailable(f'Get "{url}": {error or type(error).__name__}') from error
        if response.status != 200:
            raise refusal(response.status, body[:4096].decode(errors="replace").strip())
        return body

    def address(self, node: Node) -> str:
        return f"{node_address(node)}:{self.port}"

    def node_url(self, node: Node) -> str:
        return f"{self._scheme}://{self.address(node)}"

    async def close(self) -> None:
        await self.session.close()


def refusal(status: int, text: str) -> ApiError:
    if status == 400:
        return BadRequest(text)
    if status == 404:
        return NotFound(text)
    if status == 403:
        return Forbidden(text)
    return InternalError(f"the kubelet answered {status}: {text}")
