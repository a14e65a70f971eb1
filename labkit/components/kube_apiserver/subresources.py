"""What hangs below an object: status, scale, finalize, binding, log.

GET|PUT|PATCH .../status   the whole object, but only its status changes
GET|PUT|PATCH .../scale    the replicas of a replication controller, as a Scale
PUT .../namespaces/NAME/finalize    the namespace's finalizers
POST .../pods/NAME/binding, POST .../bindings    put a pod on a node
GET .../pods/NAME/log      from the pod's kubelet
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from labkit.api import codec, patch
from labkit.api.errors import BadRequest, Invalid, MethodNotAllowed, NotFound
from labkit.api.kinds import Kind
from labkit.api.types import Binding, Namespace, Node, Pod, Scale, Status
from labkit.api.validation import binding as binding_rules
from labkit.components.kube_apiserver import answers, bodies, changes
from labkit.components.kube_apiserver.kubelets import Kubelets
from labkit.components.kube_apiserver.messages import Answer, Request, Stream
from labkit.components.kube_apiserver.resources import applying, intent_of
from labkit.components.kube_apiserver.routes import Route
from labkit.storage.registry import Registry, check_namespace


async def status(registry: Registry, request: Request, at: Route, kind: Kind) -> Answer:
    """Read the object, or replace or patch its status."""
    strategy = registry.strategy
    intent = intent_of(request, at)._replace(decision="status updated", function=changes.with_status)
    if request.method == "GET":
        entry = await registry.get(at.namespace, at.name)
    elif request.method == "PUT":
        sent = bodies.read(request, kind.type)[0]
        entry = await registry.update(intent, lambda old: changes.with_status(strategy, old, sent))
    elif request.method == "PATCH":
        is_apply = bodies.content_type(request) == patch.APPLY
        change, _ = applying(request, kind.type, "status") if is_apply else bodies.read_patch(request, kind.type)
        entry = await registry.update(intent, lambda old: changes.with_status(strategy, old, change(old)))
    else:
        raise MethodNotAllowed.here()
    return answers.object_answer(request, kind, entry)


async def scale(registry: Registry, request: Request, at: Route) -> Answer:
    """Read or set how many replicas a replication controller is to have."""
    strategy = registry.strategy
    if request.method == "GET":
        entry = await registry.get(at.namespace, at.name)
    elif request.method in ("PUT", "PATCH"):
        wanted = _wanted_scale(request)
        intent = intent_of(request, at)._replace(decision="scaled", function=changes.scaled)
        entry = await registry.update(intent, lambda rc: changes.scaled(strategy, rc, wanted(changes.scale_of(rc))))
    else:
        raise MethodNotAllowed.here()
    return answers.answer(request, codec.encode(changes.scale_of(entry.decode())))


def _wanted_scale(request: Request) -> Callable[[Scale], Scale]:
    """From the scale that is there to the one that is wanted."""
    if request.method == "PATCH":
        return bodies.read_patch(request, Scale)[0]
    sent: Scale = bodies.read(request, Scale)[0]
    return lambda there: sent


async def finalize(registry: Registry, request: Request, at: Route) -> Answer:
    """Replace the finalizers of a namespace: who has cleaned up takes its own away."""
    if request.method != "PUT":
        raise MethodNotAllowed.here()
    sent: Namespace = bodies.read(request, Namespace)[0]
    intent = intent_of(request, at)._replace(decision="finalized", function=changes.finalized)
    entry = await registry.update(intent, lambda old: changes.finalized(registry.strategy, old, sent))
    return answers.object_answer(request, registry.kind, entry)


async def bind(registry: Registry, request: Request, at: Route) -> Answer:
    """Put a pod on a node. Raises NotFound, Conflict (it has a node), Invalid."""
    if request.method != "POST":
        raise MethodNotAllowed.here()
    binding: Binding = bodies.read(request, Binding)[0]
    name = binding.metadata.name = binding.metadata.name or at.name
    check_namespace(binding, at.namespace)
    faults = binding_rules.faults(binding)
    if faults:
        raise Invalid.of("binding", name, faults)
    change = intent_of(request, at)._replace(name=name, decision="bound", function=changes.bound)
    try:
        await registry.update(change, lambda pod: changes.bound(pod, binding))
    except NotFound:
        raise NotFound.of("pod", name) from None
    return answers.answer(request, msgspec.json.encode(Status(status="Success", code=201)), 201)


async def log(pods: Registry, nodes: Registry, kubelets: Kubelets, request: Request, at: Route) -> Stream:
    """The log of a pod's container. Raises NotFound, BadRequest (which container? on no node yet)."""
    if request.method != "GET":
        raise MethodNotAllowed.here()
    pod: Pod = (await pods.get(at.namespace, at.name)).decode()
    if not pod.spec.node_name:
        raise BadRequest(f"pod {at.name} does not have a host assigned")
    node: Node = (await nodes.get("", pod.spec.node_name, current=False)).decode()
    return await kubelets.log(request, pod, node)
