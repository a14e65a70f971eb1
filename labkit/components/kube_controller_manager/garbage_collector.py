"""The garbage collector: what belongs to an object that is gone goes, too.

    ReplicationController web <--ownerReferences-- pod web-8vht4      who owns an object is in the object itself

    DELETE web          Background            web is gone          its pods have no owner: they are deleted
                        Foreground            web is being         its pods are deleted; when none is left that blocks
                        (foregroundDeletion)  deleted              it (blockOwnerDeletion), web is let go
                        Orphan (orphan)       web is being         its pods forget it, then web is let go
                                              deleted

An object with several owners lives as long as one of them does. An owner that the informers do not know is asked for
before it is taken for gone; one of a kind that is not served here is never gone. Events own nothing and are nobody's.
Source: pkg/controller/garbagecollector of Kubernetes 1.4 and later; 2015 had none, kubectl scaled to 0 and deleted.
"""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from labkit.api.errors import NotFound
from labkit.api.finalizers import FOREGROUND, ORPHAN
from labkit.api.kinds import KINDS, by_kind_name
from labkit.api.types import Event, Object, OwnerReference
from labkit.client.controller import Controller
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.ownership import OwnerGraph
from labkit.trace import Tracer

# -- the decisions -------------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """Of an object with owners: it goes, or it forgets those of its owners that have these uids."""

    delete: bool = False
    forget: Sequence[str] = ()


def judge(owners: Sequence[OwnerReference], gone: Collection[str], ending: Collection[str]) -> Verdict:
    """gone: uids of owners that are no more; ending: of those that wait for what they own to go first."""
    lost = [owner.uid for owner in owners if owner.uid in gone or owner.uid in ending]
    return Verdict(delete=True) if owners and len(lost) == len(owners) else Verdict(forget=lost)


def blocking(owner: Object, dependents: Sequence[Object]) -> list[Object]:
    """Those of its dependents that must be gone before an owner in foreground deletion is."""
    return [
        one
        for one in dependents
        if any(ref.uid == owner.metadata.uid and ref.block_owner_deletion for ref in one.metadata.owner_references)
    ]


# -- the loop ------------------------------------------------------------------------------------------------------


class GarbageCollector:
    """Watches every kind but events; `run()` works until it is cancelled. informers: those that others run already."""

    def __init__(
        self, client: Client, informers: Sequence[Informer[Any]] = (), *, workers: int = 5, trace: Tracer | None = None
    ) -> None:
        self.client = client
        self.trace = trace or Tracer("kube-controller-manager")
        shared: dict[type[Object], Informer[Any]] = {informer.kind: informer for informer in informers}
        kinds = [kind.type for kind in KINDS.values() if kind.type is not Event]
        self._own = [Informer(client, kind, trace=self.trace) for kind in kinds if kind not in shared]
        self._informers = [*shared.values(), *self._own]
        self.graph = OwnerGraph()
        self.queue = WorkQueue()  # of uids
        self.controller = Controller("garbage collector", self.queue, self.sync, workers=workers, trace=self.trace)
        for informer in self._informers:
            informer.on_change(self._changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for informer in self._own:
                group.create_task(informer.run())
            await asyncio.gather(*(informer.synced() for informer in self._informers))
            group.create_task(self.controller.run())

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        word = "added" if old is None else "deleted" if new is None else "changed"
        for uid in self.graph.changed(old, new):
            self.queue.add(uid, cause=f"{obj.KIND} {obj.metadata.name} {word}")

    async def sync(self, uid: str) -> None:
        """Look, decide, act for one object: first as one that is owned, then as one that owns."""
        obj = self.graph.objects.get(uid)
        if obj is None:
            return
        with contextlib.suppress(NotFound):  # somebody was faster
            if obj.metadata.owner_references and obj.metadata.deletion_timestamp is None:
                await self._as_owned(obj)
            if obj.metadata.deletion_timestamp and ORPHAN in obj.metadata.finalizers:
                await self._orphan(obj)
            elif obj.metadata.deletion_timestamp and FOREGROUND in obj.metadata.finalizers:
                await self._after_its_dependents(obj)

    async def _as_owned(self, known: Object) -> None:
        if not any(await self._lost(known)):
            return
        # What we know may be the past: each kind has a watch of its own, and an owner's end may be heard first.
        obj = await self.client.get(type(known), known.metadata.name, known.metadata.namespace)
        if obj.metadata.uid != known.metadata.uid:
            return
        gone, ending = await self._lost(obj)
        verdict = judge(obj.metadata.owner_references, gone, ending)
        if verdict.delete:
            policy = "Foreground" if ending and self.graph.dependents(obj.metadata.uid) else self._policy(obj)
            await self._delete(obj, policy)
        elif verdict.forget:
            await self._forget(obj, verdict.forget)

    async def _lost(self, obj: Object) -> tuple[set[str], set[str]]:
        """The uids of its owners that are gone, and of those that are ending."""
        owners = obj.metadata.owner_references
        ending = {owner.uid for owner in owners if self._is_ending(owner.uid)}
        return {one.uid for one in owners if one.uid not in ending and await self._is_gone(one, obj)}, ending

    def _is_ending(self, uid: str) -> bool:
        owner = self.graph.objects.get(uid)
        return owner is not None and bool(owner.metadata.deletion_timestamp) and FOREGROUND in owner.metadata.finalizers

    async def _is_gone(self, owner: OwnerReference, of: Object) -> bool:
        """Whether there is no object of this kind, place, name and uid."""
        kind = by_kind_name(owner.kind)
        if kind is None or owner.api_version != kind.api_version or (kind.namespaced and not of.metadata.namespace):
            return False
        namespace = of.metadata.namespace if kind.namespaced else ""
        known = self.graph.objects.get(owner.uid)
        if known is not None and owner.kind == known.KIND and known.metadata.namespace == namespace:
            return False
        try:
            found = await self.client.get(kind.type, owner.name, namespace)
        except NotFound:
            return True
        return found.metadata.uid != owner.uid

    async def _delete(self, obj: Object, policy: str) -> None:
        meta = obj.metadata
        await self.client.delete(
            type(obj), meta.name, meta.namespace, uid=meta.uid, resource_version=meta.resource_version,
            propagation_policy=policy,
        )  # fmt: skip
        self.trace.decision("deleted", obj, cause=self.queue.cause(meta.uid), function=judge)

    def _policy(self, obj: Object) -> str:
        """What somebody has already said of the object's own dependents holds."""
        said = {ORPHAN: "Orphan", FOREGROUND: "Foreground"}
        return next((said[name] for name in obj.metadata.finalizers if name in said), "Background")

    async def _forget(self, obj: Object, uids: Sequence[str]) -> None:
        meta = obj.metadata
        change = {"uid": meta.uid, "ownerReferences": [{"$patch": "delete", "uid": uid} for uid in uids]}
        await self.client.patch(type(obj), meta.name, meta.namespace, {"metadata": change}, strategic=True)
        self.trace.decision("owner forgotten", obj, cause=self.queue.cause(meta.uid), function=judge)

    async def _orphan(self, owner: Object) -> None:
        for one in self.graph.dependents(owner.metadata.uid):
            with contextlib.suppress(NotFound):
                await self._forget(one, [owner.metadata.uid])
        await self._let_go(owner, ORPHAN)

    async def _after_its_dependents(self, owner: Object) -> None:
        dependents = self.graph.dependents(owner.metadata.uid)
        for one in dependents:
            self.queue.add(one.metadata.uid, cause=f"{owner.KIND} {owner.metadata.name} is being deleted")
        if not blocking(owner, dependents):
            await self._let_go(owner, FOREGROUND)

    async def _let_go(self, owner: Object, finalizer: str) -> None:
        """Take our finalizer away; who owns no other is removed by that."""
        meta = owner.metadata
        left = [name for name in meta.finalizers if name != finalizer]
        change = {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": left}
        await self.client.patch(type(owner), meta.name, meta.namespace, {"metadata": change})
        self.trace.decision("let go", owner, cause=self.queue.cause(meta.uid), function=blocking)
