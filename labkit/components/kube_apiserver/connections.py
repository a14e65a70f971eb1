"""What connects a user to something that runs: POST|GET .../pods/NAME/{exec,attach,portforward}, streams from the pod's
kubelet.

They need the right to write: a stream into a container is no reading, whatever the method. Plain HTTP: proxy.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.api.errors import BadRequest, MethodNotAllowed
from labkit.api.types import Node, Pod
from labkit.components.kube_apiserver.kubelets import Kubelets, chosen_container, pod_path
from labkit.components.kube_apiserver.messages import Request, Tunnel
from labkit.components.kube_apiserver.routes import Route
from labkit.storage.registry import Registry

STREAMS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}  # here and at the kubelet
Registries = Mapping[str, Registry]


async def stream(registries: Registries, kubelets: Kubelets, request: Request, at: Route) -> Tunnel:
    """Raises NotFound, BadRequest (which container? no node yet, no upgrade), what the kubelet refuses."""
    if request.method not in ("GET", "POST"):
        raise MethodNotAllowed.here()
    pod: Pod = (await registries["pods"].get(at.namespace, at.name)).decode()
    if not pod.spec.node_name:
        raise BadRequest(f"pod {at.name} does not have a host assigned")
    container = "" if at.subresource == "portforward" else chosen_container(pod, request.query.get("container", ""))
    if "upgrade" not in request.headers:
        raise BadRequest("Upgrade request required")
    node: Node = (await registries["nodes"].get("", pod.spec.node_name, current=False)).decode()
    return await kubelets.tunnel(request, node, pod_path(STREAMS[at.subresource], pod, container))
