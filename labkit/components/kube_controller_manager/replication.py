"""The replication controller: as many pods as the ReplicationController asks for, no more and no fewer.

      ReplicationController web: replicas 3, selector app=web
        app=web      app=web      app=web      app=web            app=db
       [web-8vht4]  [web-nwd7y]  [web-pe4cg]  [web-qgssc]        [db-1]
            \\___________|____________|____________/
              4 match, 3 are wanted: delete one          (db-1 is none of its business)

What belongs to it is decided by labels alone (claims.py: of several that select a pod the oldest has it): a pod that
loses the label is replaced and lives on, a pod that gains it is counted, and deleted if it is one too many. A changed
template changes no pod that exists. ownerReferences follow the labels: a pod that is counted and has no controller gets
this one, a pod that is counted no more loses it. For a ReplicationController that is being deleted (deletionTimestamp)
nothing is done: its pods are the garbage collector's.
Source: pkg/controller/replication of Kubernetes 0.18 and 1.0.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import msgspec

from labkit.api.errors import ApiError, NotFound
from labkit.api.types import (
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    Part,
    Pod,
    ReplicationController,
    copy,
    key,
    shown,
)
from labkit.client.controller import Controller
from labkit.client.events import EventRecorder, reference
from labkit.client.informer import Informer
from labkit.client.own_writes import OwnWrites
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.claims import Claims
from labkit.components.kube_controller_manager.expectations import Expectations
from labkit.components.kube_controller_manager.pod_index import PodIndex
from labkit.components.kube_controller_manager.pods import is_active, is_ready, selects
from labkit.trace import Tracer

BURST = 500  # pods created or deleted in one go
AT_ONCE = 16
RESYNC_SECONDS = 30.0
READY_SECONDS = 0.1  # how long we gather pods that become ready before their number is written
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


# -- the decision --------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """How many pods to create, and which to delete."""

    creates: int
    deletes: list[Pod]


def plan(rc: ReplicationController, pods: Iterable[Pod]) -> Plan:
    """What makes the pods that `rc` selects as many as it asks for; finished pods do not count."""
    if rc.metadata.deletion_timestamp:
        return Plan(0, [])
    mine = [pod for pod in pods if selects(rc.spec.selector, rc.metadata.namespace, pod) and is_active(pod)]
    surplus = len(mine) - (1 if rc.spec.replicas is None else rc.spec.replicas)
    return Plan(creates=max(-surplus, 0), deletes=in_deletion_order(mine)[:surplus] if surplus > 0 else [])


def in_deletion_order(pods: Iterable[Pod]) -> list[Pod]:
    """The least useful first: without a node, then Pending, Unknown, not ready; of equals the youngest."""
    youngest_first = sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp or "", key(pod)), reverse=True)
    return sorted(
        youngest_first,
        key=lambda pod: (bool(pod.spec.node_name), _PHASE_RANK.get(pod.status.phase, 0), is_ready(pod)),
    )


def whose(rc: ReplicationController, pods: Iterable[Pod]) -> tuple[list[Pod], list[Pod]]:
    """The pods that `rc` selects and nobody controls, and those that it controls and selects no more."""
    adopt: list[Pod] = []
    release: list[Pod] = []
    for pod in () if rc.metadata.deletion_timestamp else pods:
        meta = pod.metadata
        if meta.namespace != rc.metadata.namespace or meta.deletion_timestamp:
            continue
        controller = next((ref.uid for ref in meta.owner_references if ref.controller), "")
        selected = selects(rc.spec.selector, rc.metadata.namespace, pod)
        if selected and not controller and is_active(pod):
            adopt.append(pod)
        elif controller == rc.metadata.uid and not selected:
            release.append(pod)
    return adopt, release


def new_pod(rc: ReplicationController) -> Pod:
    """A pod after the template of `rc`; the API server completes its name, web-xxxxx."""
    assert rc.spec.template is not None, "validation lets no ReplicationController without a template in"
    template = copy(rc.spec.template)
    meta = ObjectMeta(
        generate_name=f"{rc.metadata.name}-",
        namespace=rc.metadata.namespace,
        labels=template.metadata.labels,
        annotations=template.metadata.annotations | {"kubernetes.io/created-by": created_by(rc)},
        owner_references=[owner(rc)],
    )
    return Pod(metadata=meta, spec=template.spec)


class SerializedReference(Part):
    """What the annotation kubernetes.io/created-by holds, as JSON."""

    kind: str = shown("SerializedReference")
    api_version: str = shown("v1")
    reference: ObjectReference = msgspec.field(default_factory=ObjectReference)


def owner(rc: ReplicationController) -> OwnerReference:
    """By this, and not by labels, today's `kubectl describe rc` and `drain` know the pods of a controller."""
    meta = rc.metadata
    return OwnerReference(
        api_version="v1", kind=rc.KIND, name=meta.name, uid=meta.uid, controller=True, block_owner_deletion=True
    )


def created_by(rc: ReplicationController) -> str:
    return msgspec.json.encode(SerializedReference(reference=reference(rc))).decode()


# -- the loop ------------------------------------------------------------------------------------------------------


class Replication:
    """Watches ReplicationControllers and pods; `run()` works until it is cancelled."""

    def __init__(self, client: Client, pods: Informer[Pod], *, workers: int = 5, trace: Tracer | None = None) -> None:
        self.client = client
        self.trace = trace or Tracer("kube-controller-manager")
        self.events = EventRecorder(client, "replication-controller", trace=self.trace)
        self.pods = pods
        self.controllers = Informer(client, ReplicationController, trace=self.trace)
        self.index = PodIndex(pods)
        self.claims = Claims(self.controllers.store, self.index)
        self._told: dict[str, str] = {}  # the younger of two that overlap -> what its last event said
        self.expectations = Expectations(pods)
        self.written = OwnWrites(self.controllers)
        self.queue = WorkQueue()
        self.controller = Controller("replication", self.queue, self.sync, workers=workers, trace=self.trace)
        self.controllers.on_change(self._controller_changed)
        pods.on_change(self._pod_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.controllers.run())
            group.create_task(self.events.run())
            await asyncio.gather(self.controllers.synced(), self.pods.synced())
            group.create_task(self.controller.run())
            group.create_task(self._resync())

    async def sync(self, key: str) -> None:
        """Look, decide, act for one ReplicationController."""
        rc = self.written.newest(key)
        if rc is None:
            self.expectations.forget(key)
            self._told.pop(key, None)
            return
        pods = self._pods_of(rc)
        creates, deletes = plan(rc, pods)
        if self._overlaps(rc):
            creates = 0
        if creates or deletes:
            self.trace.decision(
                "scale", rc, cause=self.queue.cause(key), function=plan, pods=len(pods), wanted=rc.spec.replicas,
                creates=creates, deletes=[pod.metadata.name for pod in deletes],
            )  # fmt: skip
        try:
            await self._create(rc, min(creates, BURST))
            await self._delete(rc, deletes[:BURST])
        finally:
            await self._write_status(rc, self._pods_of(rc))
        if creates > BURST or len(deletes) > BURST:
            self.queue.add(key, cause="the rest of a large change")
        await self._own(rc)

    def _pods_of(self, rc: ReplicationController) -> list[Pod]:
        """The pods that count for `rc`: what the store shows, with our own writes laid over it."""
        return [pod for pod in self.expectations.over(key(rc), self.claims.pods_of(rc)) if is_active(pod)]

    def _overlaps(self, rc: ReplicationController) -> bool:
        """Whether it has to stand back; that it overlaps with an older one is told, once."""
        overlap = self.claims.overlap(rc)
        if overlap is None:
            self._told.pop(key(rc), None)
            return False
        if self._told.get(key(rc)) != overlap.text:
            self._told[key(rc)] = overlap.text
            self.events.event(rc, "overlap", overlap.text)
            self.trace.log("controllers overlap", level="warning", key=key(rc), older=key(overlap.older))
        return overlap.stands_back

    async def _create(self, rc: ReplicationController, count: int) -> None:
        """Create in batches of 1, 2, 4 ...: what fails for one pod fails for all, and is not tried 500 times."""
        batch = 1
        while count > 0:
            batch = min(batch, count)
            results = await asyncio.gather(*(self._create_one(rc) for _ in range(batch)), return_exceptions=True)
            for failure in (result for result in results if isinstance(result, BaseException)):
                if isinstance(failure, ApiError):
                    self.events.event(rc, "failedCreate", f"Error creating: {failure}")
                raise failure
            count -= batch
            batch = min(2 * batch, AT_ONCE)

    async def _create_one(self, rc: ReplicationController) -> None:
        pod = await self.client.create(new_pod(rc))
        self.expectations.created(key(rc), pod)
        self.events.event(rc, "successfulCreate", f"Created pod: {pod.metadata.name}")
        self.trace.decision("created", pod, cause=f"replicationcontrollers/{key(rc)}", function=new_pod)

    async def _delete(self, rc: ReplicationController, pods: list[Pod]) -> None:
        for start in range(0, len(pods), AT_ONCE):
            await asyncio.gather(*(self._delete_one(rc, pod) for pod in pods[start : start + AT_ONCE]))

    async def _delete_one(self, rc: ReplicationController, pod: Pod) -> None:
        meta = pod.metadata
        try:
            await self.client.delete(Pod, meta.name, meta.namespace, uid=meta.uid)
        except NotFound:
            pass
        self.expectations.deleted(key(rc), pod)
        self.trace.decision("deleted", pod, cause=f"replicationcontrollers/{key(rc)}", function=in_deletion_order)

    async def _own(self, rc: ReplicationController) -> None:
        """Let the pods' ownerReferences follow their labels."""
        adopt, release = whose(rc, [*self.claims.pods_of(rc), *self.index.controlled(rc.metadata.uid)])
        if not adopt and not release:
            return
        there = await self.client.get(ReplicationController, rc.metadata.name, rc.metadata.namespace)
        if there.metadata.uid != rc.metadata.uid or there.metadata.deletion_timestamp:
            return  # it is being deleted: what it lets live must not become its own again
        wishes = [(pod, msgspec.to_builtins(owner(rc))) for pod in adopt]
        wishes += [(pod, {"$patch": "delete", "uid": rc.metadata.uid}) for pod in release]
        for pod, wish in wishes:
            meta = pod.metadata
            change = {"metadata": {"uid": meta.uid, "ownerReferences": [wish]}}
            with contextlib.suppress(NotFound):
                await self.client.patch(Pod, meta.name, meta.namespace, change, strategic=True)
                decision = "released" if "$patch" in wish else "adopted"
                self.trace.decision(decision, pod, cause=f"replicationcontrollers/{key(rc)}", function=whose)

    async def _write_status(self, rc: ReplicationController, pods: list[Pod]) -> None:
        """Tell how many pods there are, when that is news."""
        status = copy(rc.status)
        status.replicas = len(pods)
        status.ready_replicas = sum(map(is_ready, pods)) or None
        status.observed_generation = rc.metadata.generation
        if status == rc.status:
            return
        changed = copy(rc)
        changed.status = status
        self.written.wrote(await self.client.update_status(changed))

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            for name in self.controllers.store:
                self.queue.add(name, cause="resync")

    # -- what the informers tell -----------------------------------------------------------------------------------

    def _controller_changed(self, old: ReplicationController | None, new: ReplicationController | None) -> None:
        changed = new or old
        assert changed is not None
        word = "added" if old is None else "deleted" if new is None else "changed"
        cause = f"replicationcontrollers/{key(changed)} {word}"
        self.queue.add(key(changed), cause=cause)
        if old is None or new is None or old.spec.selector != new.spec.selector:  # who stood back may come forward
            for younger in self._told:
                self.queue.add(younger, cause=cause)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """Wake the controllers that the pod belonged to and belongs to: its labels may just have changed."""
        if old is not None and new is not None and _counted_by(old) == _counted_by(new):
            return
        word = "added" if old is None else "deleted" if new is None else "changed"
        becomes_ready = word == "changed" and _counted_by(old)[:-1] == _counted_by(new)[:-1]
        for pod in (old, new):
            if pod is not None and (rc := self.claims.keeper_of(pod)) is not None:
                wake = partial(self.queue.add_after, seconds=READY_SECONDS) if becomes_ready else self.queue.add
                wake(key(rc), cause=f"pods/{key(pod)} {word}")


def _counted_by(pod: Pod | None) -> tuple[object, ...]:
    """What of a pod its controller looks at; the last one matters to the controller's status only."""
    return () if pod is None else (pod.metadata.labels, pod.metadata.owner_references, is_active(pod), is_ready(pod))
