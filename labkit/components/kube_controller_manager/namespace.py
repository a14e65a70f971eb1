"""The namespace controller: empties a namespace that was deleted, then lets it go.

    kubectl delete ns x
      |  DELETE .../x           Terminating: nothing new comes in (NamespaceLifecycle)
      |  DELETE .../x/pods ...  one collection after the other, until a look finds nothing
      |  PUT .../x/finalize     without "kubernetes": we have cleaned up
      |  DELETE .../x           once no finalizer of anybody is left
      v
     gone

Pods may take their grace period, so it looks again until they are gone. Source: pkg/namespace of Kubernetes 1.0.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from labkit.api.errors import Conflict, NotFound
from labkit.api.kinds import KINDS, Kind
from labkit.api.types import Namespace, copy, key
from labkit.client.controller import Controller
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.trace import Tracer

FINALIZER = "kubernetes"
LOOK_AGAIN_SECONDS = 0.5
# What makes other objects goes before what it makes; events tell of all the others.
_FIRST, _LAST = ("replicationcontrollers", "services"), ("events",)


# -- the decision --------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What to do next about a namespace: delete these collections, or take our finalizer away, or remove it."""

    delete: list[str] = []
    finalize: bool = False
    remove: bool = False


def what_is_left(namespace: Namespace, found: Mapping[str, int]) -> Step:
    """The next step. found: resource -> how many objects of it the namespace still holds."""
    if namespace.metadata.deletion_timestamp is None:
        return Step()
    finalizers = namespace.spec.finalizers
    if FINALIZER not in finalizers:
        return Step(remove=not finalizers)
    left = [resource for resource in in_order(found) if found[resource]]
    return Step(delete=left, finalize=not left)


def in_order(resources: Mapping[str, object]) -> list[str]:
    """The order in which collections are deleted."""
    return sorted(resources, key=lambda name: (name in _LAST, name not in _FIRST, name))


def without_finalizer(namespace: Namespace) -> Namespace:
    changed = copy(namespace)
    changed.spec.finalizers = [name for name in namespace.spec.finalizers if name != FINALIZER]
    return changed


# -- the loop ------------------------------------------------------------------------------------------------------


class _Count(msgspec.Struct):
    """A list of which only the number of its objects is of interest."""

    items: list[msgspec.Raw] | None = None


class NamespaceController:
    """Watches the namespaces; `run()` works until it is cancelled."""

    def __init__(self, client: Client, *, workers: int = 2, trace: Tracer | None = None) -> None:
        self.client = client
        self.trace = trace or Tracer("kube-controller-manager")
        self.namespaces = Informer(client, Namespace, trace=self.trace)
        self.queue = WorkQueue()
        self.controller = Controller("namespace", self.queue, self.sync, workers=workers, trace=self.trace)
        self.namespaces.on_change(self._changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.namespaces.run())
            group.create_task(self.controller.run())

    def _changed(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and new.metadata.deletion_timestamp:
            self.queue.add(key(new), cause=f"namespaces/{key(new)} is deleted")

    async def sync(self, name: str) -> None:
        """Look, decide, act for one namespace."""
        namespace = self.namespaces.store.get(name)
        if namespace is None or namespace.metadata.deletion_timestamp is None:
            return
        found = await self._found(name)
        step = what_is_left(namespace, found)
        for resource in step.delete:
            path = _collection(KINDS[resource], name)
            # Background: what these objects own is here as well, and goes the same way
            await self.client.raw("DELETE", path, params={"propagationPolicy": "Background"})
        if step.delete:
            self._tell("emptied", namespace, deleted={resource: found[resource] for resource in step.delete})
            self.queue.add_after(name, LOOK_AGAIN_SECONDS, cause="is it empty now?")
        with contextlib.suppress(Conflict, NotFound):  # somebody was faster: the informer will tell
            if step.finalize:
                self._tell("finalized", namespace)
                namespace = await self._finalize(namespace)
                step = what_is_left(namespace, {})
            if step.remove:
                await self.client.delete(Namespace, name, uid=namespace.metadata.uid)

    async def _found(self, name: str) -> dict[str, int]:
        """resource -> how many objects, for every kind that lives in namespaces."""
        return {kind.resource: await self._count(name, kind) for kind in KINDS.values() if kind.namespaced}

    async def _count(self, name: str, kind: Kind) -> int:
        body = await self.client.raw("GET", _collection(kind, name))
        return len(msgspec.json.decode(body, type=_Count).items or [])

    async def _finalize(self, namespace: Namespace) -> Namespace:
        body = msgspec.json.encode(without_finalizer(namespace))
        path = f"/api/v1/namespaces/{namespace.metadata.name}/finalize"
        answer = await self.client.raw("PUT", path, body=body)
        return msgspec.json.decode(answer, type=Namespace)

    def _tell(self, decision: str, namespace: Namespace, **fields: object) -> None:
        cause = self.queue.cause(namespace.metadata.name)
        self.trace.decision(decision, namespace, cause=cause, function=what_is_left, **fields)


def _collection(kind: Kind, namespace: str) -> str:
    return f"{kind.root}/namespaces/{namespace}/{kind.resource}"
