"""A plain HTTP request passed on to something that runs: what kubectl proxy and a browser make of the API server.

any .../pods/[SCHEME:]NAME[:PORT]/proxy/PATH        to the pod's address
any .../services/[SCHEME:]NAME[:PORT]/proxy/PATH    to one of the service's endpoints
any .../nodes/[SCHEME:]NAME[:PORT]/proxy/PATH       to the node's kubelet, or to a port of the node

SCHEME is http or https. It needs the right to write, whatever the method. How it is passed on: backends.py.
"""

from __future__ import annotations

import ipaddress
import random

from labkit.api.errors import BadRequest, NotFound, ServerUnavailable
from labkit.api.types import Endpoints, Node, Pod, Service
from labkit.components.kube_apiserver import backends
from labkit.components.kube_apiserver.backends import Backend
from labkit.components.kube_apiserver.connections import Registries
from labkit.components.kube_apiserver.kubelets import Kubelets, node_address
from labkit.components.kube_apiserver.messages import Answer, Request, Stream, Tunnel
from labkit.components.kube_apiserver.routes import Route
from labkit.storage.registry import Registry


async def proxy(registries: Registries, kubelets: Kubelets, request: Request, at: Route) -> Answer | Stream | Tunnel:
    """Raises NotFound, BadRequest, ServerUnavailable (nobody answers there)."""
    prefix = request.path.removesuffix(at.rest) if at.rest else request.path
    upgrade = "upgrade" in request.headers
    if not at.rest and request.method in ("GET", "HEAD") and not upgrade:
        return redirect(prefix, request.query_string)  # relative links would lead nowhere
    backend = await backend_of(registries, kubelets, at)
    target = (at.rest or "/") + (f"?{request.query_string}" if request.query_string else "")
    if upgrade:
        return await backends.upgrade(backend, request, target, prefix)
    return await backends.ask(kubelets.session, backend, request, target, prefix)


def redirect(path: str, query: str) -> Answer:
    """To the same path with a slash at its end."""
    return Answer(301, b"", "text/plain", {"Location": f"{path}/?{query}" if query else f"{path}/"})


async def backend_of(registries: Registries, kubelets: Kubelets, at: Route) -> Backend:
    """Whom the path leads to."""
    scheme, name, port = named(at.name)
    if at.resource == "nodes":
        node: Node = (await registries["nodes"].get("", name)).decode()
        if port in ("", str(kubelets.port)):
            return Backend(kubelets.address(node), kubelets.context)
        address = f"{node_address(node)}:{_number(port)}"
    elif at.resource == "services":
        service: Service = (await registries["services"].get(at.namespace, name)).decode()
        address = await _endpoint(registries["endpoints"], service, port)
    else:
        address = pod_address((await registries["pods"].get(at.namespace, name)).decode(), port)
    return Backend(address, backends.anybody() if scheme == "https" else None)


def named(text: str) -> tuple[str, str, str]:
    """Scheme, name and port of `name`, `name:port` or `scheme:name:port`."""
    parts = text.split(":")
    if len(parts) > 3:
        raise BadRequest(f"{text!r}: expected NAME, NAME:PORT or SCHEME:NAME:PORT")
    scheme, name, port = {1: ["", *parts, ""], 2: ["", *parts]}.get(len(parts), parts)
    if scheme not in ("", "http", "https"):
        raise BadRequest(f"{scheme}: expected http or https, the schemes that are proxied")
    return scheme, name, port


def _number(port: str) -> int:
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise BadRequest(f"{port!r} is not a port: expected a number from 1 to 65535")
    return int(port)


def pod_address(pod: Pod, port: str) -> str:
    """Its port, by number or name, else the first one that its containers declare, else 80."""
    if not pod.status.pod_ip:
        raise BadRequest(f"pod {pod.metadata.name} has no address yet")
    address = proxied(pod.status.pod_ip)
    declared = [declared for container in pod.spec.containers for declared in container.ports]
    if port.isdigit():
        return f"{address}:{_number(port)}"
    chosen = [one.container_port for one in declared if port in ("", one.name)]
    if port and not chosen:
        raise BadRequest(f"pod {pod.metadata.name} has no port {port}")
    return f"{address}:{chosen[0] if chosen else 80}"


def proxied(address: str) -> str:
    """The address; BadRequest when it leads to this machine itself: a node may have written it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise BadRequest(f"{address!r} is no address") from None
    if found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast:
        raise BadRequest(f"address not allowed: {address}")
    return f"[{address}]" if found.version == 6 else address


async def _endpoint(registry: Registry, service: Service, port: str) -> str:
    namespace, name = service.metadata.namespace, service.metadata.name
    try:
        endpoints: Endpoints = (await registry.get(namespace, name)).decode()
    except NotFound:
        endpoints = Endpoints()
    return random.choice(endpoint_addresses(endpoints, name, port_name(service, port)))


def port_name(service: Service, port: str) -> str | None:
    """The name that the endpoints know a service's port by; None for any. Raises ServerUnavailable."""
    if not port.isdigit():
        return port or None
    names = [one.name for one in service.spec.ports if str(one.port) == port]
    if not names:
        raise ServerUnavailable(f'no service port {port} found for service "{service.metadata.name}"')
    return names[0]


def endpoint_addresses(endpoints: Endpoints, name: str, port: str | None) -> list[str]:
    """`IP:PORT` of each; of all ports the first, or the one of this name. Raises ServerUnavailable."""
    found = []
    for subset in endpoints.subsets:
        ports = [one.port for one in subset.ports if port in (None, one.name)]
        found += [f"{proxied(address.ip)}:{ports[0]}" for address in subset.addresses if ports]
    if not found:
        raise ServerUnavailable(f'no endpoints available for service "{name}"')
    return found
