"""The way to the kubelets: container logs, over TLS with the kubelet-client certificate.

GET .../pods/NAME/log?container=C&follow=true  ->  GET https://NODE:10250/containerLogs/NAMESPACE/POD/C?follow=true
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from urllib.parse import quote

import aiohttp

from labkit.api.errors import ApiError, BadRequest, InternalError, NotFound
from labkit.api.types import Node, Pod
from labkit.components.kube_apiserver.bodies import number
from labkit.components.kube_apiserver.messages import TEXT, Request, Stream

CONNECT_SECONDS = 5.0
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
    if request.query.get("sinceTime"):
        query["sinceTime"] = request.query["sinceTime"]
    return query


class Kubelets:
    """A client of all kubelets; made inside the event loop, ended with `close()`. `context` None: plain HTTP."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self._port = port
        self._scheme = "https" if context else "http"
        connector = aiohttp.TCPConnector(ssl=context or False, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)

    async def log(self, request: Request, pod: Pod, node: Node) -> Stream:
        """The log of a pod's container, as it comes."""
        container, query = chosen_container(pod, request.query.get("container", "")), log_query(request)
        path = "/".join(quote(part, safe="") for part in (pod.metadata.namespace, pod.metadata.name, container))
        url = f"{self._scheme}://{node_address(node)}:{self._port}/containerLogs/{path}"
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=None if "follow" in query else IDLE_SECONDS
        )
        try:
            response = await self._session.get(url, params=query, timeout=timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise InternalError(f'Get "{url}": {error or type(error).__name__}') from error
        if response.status != 200:
            raise _refusal(response.status, (await response.text())[:4096].strip())
        return Stream(_chunks(response), TEXT)

    async def close(self) -> None:
        await self._session.close()


async def _chunks(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (TimeoutError, aiohttp.ClientError):
        return  # the kubelet went away: what came so far stands
    finally:
        response.close()


def _refusal(status: int, text: str) -> ApiError:
    if status == 400:
        return BadRequest(text)
    if status == 404:
        return NotFound(text)
    return InternalError(f"the kubelet answered {status}: {text}")
