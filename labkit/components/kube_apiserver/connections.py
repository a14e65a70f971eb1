"""What connects a user to something that runs: exec, attach, portforward, and proxy for plain HTTP.

POST|GET .../pods/NAME/{exec,attach,portforward}     a stream from the pod's kubelet
any .../pods/[http:]NAME[:PORT]/proxy/PATH           a request to the pod's address
any .../services/[http:]NAME[:PORT]/proxy/PATH       a request to one of the service's endpoints
any .../nodes/NAME/proxy/PATH                        a request to the node's kubelet

All of them need the right to write: a stream into a container is no reading, whatever the method.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from labkit.api.errors import BadRequest, NotFound, ServerUnavailable
from labkit.api.types import Endpoints, Node, Pod
from labkit.components.kube_apiserver.kubelets import Kubelets, chosen_container, pod_path
from labkit.components.kube_apiserver.messages import Request, Stream, Tunnel
from labkit.components.kube_apiserver.routes import Route
from labkit.components.kube_apiserver.subresources import not_allowed
from labkit.storage.registry import Registry

STREAMS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}  # here and at the kubelet
Registries = Mapping[str, Registry]


async def stream(registries: Registries, kubelets: Kubelets, request: Request, at: Route) -> Tunnel:
    """Raises NotFound, BadRequest (which container? no node yet, no upgrade), what the kubelet refuses."""
    if request.method not in ("GET", "POST"):
        raise not_allowed()
    pod: Pod = (await registries["pods"].get(at.namespace, at.name)).decode()
    if not pod.spec.node_name:
        raise BadRequest(f"pod {at.name} does not have a host assigned")
    container = "" if at.subresource == "portforward" else chosen_container(pod, request.query.get("container", ""))
    if "upgrade" not in request.headers:
        raise BadRequest("Upgrade request required")
    node: Node = (await registries["nodes"].get("", pod.spec.node_name, current=False)).decode()
    return await kubelets.tunnel(request, node, pod_path(STREAMS[at.subresource], pod, container))


async def proxy(registries: Registries, kubelets: Kubelets, request: Request, at: Route) -> Stream:
    """Raises NotFound, BadRequest, ServerUnavailable (nobody answers there)."""
    scheme, name, port = named(at.name)
    if scheme not in ("", "http"):
        raise BadRequest(f"{scheme}: expected http, the only scheme that is proxied")
    if at.resource == "nodes":
        node: Node = (await registries["nodes"].get("", name)).decode()
        base = kubelets.node_url(node)
    elif at.resource == "services":
        await registries["services"].get(at.namespace, name)
        base = f"http://{await _endpoint(registries['endpoints'], at.namespace, name, port)}"
    else:
        base = f"http://{pod_address((await registries['pods'].get(at.namespace, name)).decode(), port)}"
    query = f"?{request.query_string}" if request.query_string else ""
    return await kubelets.proxy(request, f"{base}{at.rest or '/'}{query}")


def named(text: str) -> tuple[str, str, str]:
    """Scheme, name and port of `name`, `name:port` or `scheme:name:port`."""
    parts = text.split(":")
    if len(parts) > 3:
        raise BadRequest(f"{text!r}: expected NAME, NAME:PORT or SCHEME:NAME:PORT")
    scheme, name, port = {1: ["", *parts, ""], 2: ["", *parts]}.get(len(parts), parts)
    return scheme, name, port


def pod_address(pod: Pod, port: str) -> str:
    """Its port, by number or name, else the first one that its containers declare, else 80."""
    if not pod.status.pod_ip:
        raise BadRequest(f"pod {pod.metadata.name} has no address yet")
    declared = [declared for container in pod.spec.containers for declared in container.ports]
    if port.isdigit():
        return f"{pod.status.pod_ip}:{port}"
    chosen = [one.container_port for one in declared if port in ("", one.name)]
    if port and not chosen:
        raise BadRequest(f"pod {pod.metadata.name} has no port {port}")
    return f"{pod.status.pod_ip}:{chosen[0] if chosen else 80}"


async def _endpoint(registry: Registry, namespace: str, name: str, port: str) -> str:
    try:
        endpoints: Endpoints = (await registry.get(namespace, name)).decode()
    except NotFound:
        endpoints = Endpoints()
    return random.choice(endpoint_addresses(endpoints, name, port))


def endpoint_addresses(endpoints: Endpoints, name: str, port: str) -> list[str]:
    """`IP:PORT` of each; of all ports the first, or the one of this name or number. Raises ServerUnavailable."""
    found = []
    for subset in endpoints.subsets:
        ports = [one.port for one in subset.ports if port in ("", one.name, str(one.port))]
        found += [f"{address.ip}:{ports[0]}" for address in subset.addresses if ports]
    if not found:
        raise ServerUnavailable(f'no endpoints available for service "{name}"')
    return found
