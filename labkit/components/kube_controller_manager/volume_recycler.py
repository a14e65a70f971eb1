"""The persistent volume recycler: what becomes of a volume whose claim was deleted, by its reclaim policy.

    Retain    nothing: an administrator looks at the data, and takes the claimRef away (or the volume)
    Recycle   a scrubber pod removes all that is on it; then the claimRef goes, and the binder calls it Available
    Delete    Failed: no kind of volume here knows how to be deleted

A volume in the network is scrubbed by one pod, wherever it runs. A hostPath is another directory on every machine, and
nobody knows which of them the claim's pods wrote to: each node gets a scrubber. Nothing is scrubbed under a pod that
still uses the claim. Source: persistent_volume_recycler.go and pkg/volume/{host_path,nfs} of Kubernetes 1.0.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.api.errors import AlreadyExists, NotFound
from labkit.api.types import (
    Container,
    Node,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeSource,
    Pod,
    PodSpec,
    Volume,
    VolumeMount,
    copy,
    key,
    sources,
)
from labkit.client.controller import Controller
from labkit.client.events import EventRecorder
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.volume_binding import BOUND_BY_CONTROLLER
from labkit.trace import Tracer

NAMESPACE = "default"
RECYCLES = "labkit/recycles"
"""The annotation of a scrubber: the volume that it works for."""
IMAGE = "busybox"
DEADLINE_SECONDS = 300
LOOK_AGAIN_SECONDS = 10.0
"""For nodes that come, go and become ready, which nobody watches here."""
_RECYCLABLE = ("host_path", "nfs", "glusterfs")
# All but . and ..; the original's `rm -rf /scrub/*` left hidden files, and then failed because of them.
_SCRUB = 'test -e /scrub && rm -rf /scrub/..?* /scrub/.[!.]* /scrub/* && test -z "$(ls -A /scrub)" || exit 1'


class Step(NamedTuple):
    """What to do about a released volume: start these scrubbers, wait, set it free, or give up."""

    start: list[Pod] = []
    waits: str = ""
    free: bool = False
    failure: str = ""


# -- the decision ----------------------------------------------------------------------------------------------------


def reclaim(volume: PersistentVolume, nodes: Iterable[Node], pods: Mapping[str, Pod]) -> Step:
    """The next step for a volume. pods: all, by key; the volume's scrubbers are found by their names."""
    if volume.status.phase != "Released" or volume.spec.claim_ref is None:
        return Step()
    policy, kind = volume.spec.persistent_volume_reclaim_policy, _kind_of(volume)
    if policy == "Delete":
        return Step(failure=f"volumes of kind {_words(kind)} cannot be deleted: remove the data and the volume by hand")
    if policy != "Recycle":
        return Step()
    if kind not in _RECYCLABLE:
        offered = ", ".join(map(_words, _RECYCLABLE))
        return Step(failure=f"no recyclable volume plugin matched: {_words(kind)} is none of {offered}")
    if users := _users(volume, pods.values()):
        return Step(waits=f"pods still use it: {', '.join(users)}")
    places = {node.metadata.name: _is_ready(node) for node in nodes} if kind == "host_path" else {"": True}
    return _scrubbed(volume, places, pods) if places else Step(waits="there is no node to scrub it on")


def _scrubbed(volume: PersistentVolume, places: Mapping[str, bool], pods: Mapping[str, Pod]) -> Step:
    """One scrubber for each place, until all have done their work. places: node -> whether it can start one."""
    wanted = {place: scrubber(volume, place) for place in places}
    there = {place: pods[key(pod)] for place, pod in wanted.items() if key(pod) in pods}
    for pod in there.values():
        if pod.status.phase == "Failed":
            why = pod.status.message or pod.status.reason or _end(pod)
            return Step(failure=f"pod {pod.metadata.name} failed: {why}")
    start = [wanted[place] for place, ready in places.items() if ready and place not in there]
    unfinished = [place for place in places if place not in there or there[place].status.phase != "Succeeded"]
    if not unfinished:
        return Step(free=True)
    return Step(start=start, waits=f"is scrubbed by {', '.join(wanted[place].metadata.name for place in unfinished)}")


def scrubber(volume: PersistentVolume, node: str = "") -> Pod:
    """The pod that empties the volume after this claim, on `node` if that is named. Its name is always the same."""
    ref, meta = volume.spec.claim_ref, volume.metadata
    seed = f"{meta.uid} {ref.uid if ref else ''} {node}"
    name = f"pv-scrubber-{meta.name[:44].strip('-.')}-{hashlib.sha256(seed.encode()).hexdigest()[:5]}"
    kind = _kind_of(volume)
    container = Container(
        name="scrubber", image=IMAGE, command=["/bin/sh", "-c", _SCRUB],
        volume_mounts=[VolumeMount(name="vol", mount_path="/scrub")],
    )  # fmt: skip
    return Pod(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, annotations={RECYCLES: meta.name}),
        spec=PodSpec(
            volumes=[Volume(name="vol", **{kind: copy(getattr(volume.spec, kind))})],
            containers=[container], restart_policy="Never", active_deadline_seconds=DEADLINE_SECONDS, node_name=node,
        ),
    )  # fmt: skip


def _kind_of(volume: PersistentVolume) -> str:
    return next((name for name in sources(PersistentVolumeSource) if getattr(volume.spec, name) is not None), "none")


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _users(volume: PersistentVolume, pods: Iterable[Pod]) -> list[str]:
    """The pods that mount the claim and have not ended."""
    ref = volume.spec.claim_ref
    return sorted(
        key(pod)
        for pod in pods
        if ref is not None and pod.metadata.namespace == ref.namespace and not _is_over(pod)
        for one in pod.spec.volumes
        if one.persistent_volume_claim is not None and one.persistent_volume_claim.claim_name == ref.name
    )


def _is_over(pod: Pod) -> bool:
    """One that is being deleted is not: it runs until it is gone."""
    return pod.status.phase in ("Succeeded", "Failed")


def _is_ready(node: Node) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions)


def _end(pod: Pod) -> str:
    """How its container ended."""
    for status in pod.status.container_statuses:
        if status.state is not None and (ended := status.state.terminated) is not None:
            return f"exit code {ended.exit_code} {ended.message}".strip()
    return "it does not say why"


# -- the loop --------------------------------------------------------------------------------------------------------


class VolumeRecycler:
    """Works on the volumes that the binder has released; `run()` works until it is cancelled."""

    def __init__(
        self, client: Client, volumes: Informer[PersistentVolume], pods: Informer[Pod], *, trace: Tracer
    ) -> None:
        self.client = client
        self.trace = trace
        self.events = EventRecorder(client, "persistentvolume-recycler", trace=trace)
        self.volumes, self.pods = volumes, pods
        self.queue = WorkQueue()
        self.controller = Controller("volume-recycler", self.queue, self.sync, workers=2, trace=trace)
        volumes.on_change(self._volume_changed)
        pods.on_change(self._pod_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run())
            await asyncio.gather(self.volumes.synced(), self.pods.synced())
            group.create_task(self.controller.run())

    async def sync(self, name: str) -> None:
        """Look, decide, act for one volume."""
        volume = self.volumes.store.get(name)
        if volume is None or volume.status.phase != "Released":
            return
        step = reclaim(volume, (await self.client.list(Node)).items, self.pods.store)
        for pod in step.start:
            await self._start(volume, pod)
        if step.waits:
            await self._say(volume, "Released", step.waits)
            self.queue.add_after(name, LOOK_AGAIN_SECONDS, cause="is it scrubbed now?")
        elif step.failure:
            stored = await self._say(volume, "Failed", step.failure)
            self.events.event(stored, "VolumeFailedRecycle", step.failure)
            await self._remove_scrubbers(name)
        elif step.free:
            await self._set_free(volume)

    async def _start(self, volume: PersistentVolume, pod: Pod) -> None:
        try:
            made = await self.client.create(pod)
        except AlreadyExists:  # our informer is behind
            return
        self.trace.decision("scrubber started", made, cause=self.queue.cause(key(volume)), function=reclaim)

    async def _say(self, volume: PersistentVolume, phase: str, message: str) -> PersistentVolume:
        changed = copy(volume)
        changed.status.phase, changed.status.message = phase, message
        return volume if changed.status == volume.status else await self.client.update_status(changed)

    async def _set_free(self, volume: PersistentVolume) -> None:
        """The last bond between the volume and the claim goes; the binder sees to the rest."""
        changed = copy(volume)
        changed.spec.claim_ref = None
        changed.metadata.annotations.pop(BOUND_BY_CONTROLLER, None)
        stored = await self.client.update(changed)
        self.trace.decision("volume recycled", stored, cause=self.queue.cause(key(volume)), function=reclaim)
        self.events.event(stored, "VolumeRecycled", "Volume recycled")
        await self._remove_scrubbers(volume.metadata.name)

    async def _remove_scrubbers(self, volume: str) -> None:
        for pod in [pod for pod in self.pods.store.values() if pod.metadata.annotations.get(RECYCLES) == volume]:
            try:
                await self.client.delete(Pod, pod.metadata.name, NAMESPACE, uid=pod.metadata.uid)
            except NotFound:
                continue

    # -- what the informers tell -------------------------------------------------------------------------------------

    def _volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        if new is not None and new.status.phase == "Released":
            self.queue.add(key(new), cause=f"persistentvolumes/{key(new)} is released")

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A scrubber got on, or a user of a released volume is gone."""
        pod = new or old
        if pod is None:
            return
        if name := pod.metadata.annotations.get(RECYCLES):
            self.queue.add(name, cause=f"pods/{key(pod)} changed")
        elif (new is None or _is_over(new)) and any(one.persistent_volume_claim for one in pod.spec.volumes):
            for name, volume in self.volumes.store.items():
                if volume.status.phase == "Released":
                    self.queue.add(name, cause=f"pods/{key(pod)} is over")
