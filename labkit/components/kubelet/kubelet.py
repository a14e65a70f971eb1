"""kubelet: sees to it that the pods which the scheduler put on this node run, and says how they are.

       kube-apiserver                                  kubelet                                   docker
    pods of this node  --watch-->  one worker per pod:  look, decide, act, report  <--list, inspect--  containers
    services           --watch-->  their variables      |                    |     ---create, start->
    pod status, events <-----------------------------------------------------+     <--start, die, oom--  events
    node status        <--every 10 s--  node.py
    mirror pods        <--static_pods.py--  files, a URL

The decision is `plan(pod, containers, memory, now)` in plan.py, the loop around it `Worker.sync` in worker.py. This
file gives each pod its worker and wakes it: when the API server has something new, when docker says that a container
started or died, and - because events can be missed - when a full look every 10 s finds a difference.
Source: Kubernetes 0.18, pkg/kubelet.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from labkit import trace
from labkit.api.types import Node, Pod, Service, key
from labkit.client.backoff import delay
from labkit.client.events import EventRecorder
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.components.kubelet.claims import Claims
from labkit.components.kubelet.collector import Collector
from labkit.components.kubelet.disks import Disks
from labkit.components.kubelet.host_ports import Tenant
from labkit.components.kubelet.images import Images
from labkit.components.kubelet.mounts import LinuxMounts, Mounts
from labkit.components.kubelet.node import NodeReporter
from labkit.components.kubelet.plan import has_ended
from labkit.components.kubelet.report import Reports
from labkit.components.kubelet.runtime import Container, Runtime, RuntimeFailure
from labkit.components.kubelet.settings import Settings
from labkit.components.kubelet.shared import Shared
from labkit.components.kubelet.sources import Sources, referred_by
from labkit.components.kubelet.static_pods import MIRROR, StaticPods, is_mirror
from labkit.components.kubelet.stats import Stats
from labkit.components.kubelet.volume_files import VolumeFailure
from labkit.components.kubelet.volumes import Volumes
from labkit.components.kubelet.worker import Worker, orphan
from labkit.trace import Tracer

__all__ = ["Kubelet", "Settings"]


class Kubelet:
    """The pods of one node on one runtime; `run()` works until it is cancelled. The pods run on without it."""

    def __init__(
        self, client: Client, runtime: Runtime, settings: Settings, *,
        mounts: Mounts | None = None, services: Informer[Service] | None = None, trace: Tracer | None = None,
    ) -> None:  # fmt: skip
        """services: an informer that somebody else runs, for many kubelets in one process."""
        self.trace = trace or Tracer("kubelet")
        self.settings = settings
        self.runtime = runtime
        self.volumes = Volumes(settings.root_dir, mounts or LinuxMounts(), settings.address)
        self.sources = Sources(client)
        self.claims = Claims(client)
        self.recorder = EventRecorder(client, "kubelet", settings.node, trace=self.trace)
        self.pods = Informer(client, Pod, field_selector=f"spec.nodeName={settings.node}", trace=self.trace)
        self._runs_services = services is None
        self.services = services or Informer(client, Service, trace=self.trace)
        self.disks = Disks(
            runtime, settings.root_dir, settings.low_disk_bytes, settings.disk_allowance, settings.disk_seconds,
            lambda: list(self.workers.values()), self.trace,
        )  # fmt: skip
        self.node = NodeReporter(client, runtime, settings, self.recorder, self.trace, lambda: self.disks.full)
        self.collector = Collector(
            runtime, settings.keeping, settings.pause_image, self._living, self._tell_of_node, self.trace
        )
        self.reports = Reports(client, self.trace)
        self.stats = Stats(runtime, settings.housekeeping_seconds, self.trace)
        self.static = StaticPods(client, settings, self.recorder, self.trace)
        self.images = Images(runtime)
        self.workers: dict[str, Worker] = {}
        self._relist = asyncio.Event()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for task in (self.recorder, self.reports, self.node, self.stats, self.pods):
                    self._spawn(task.run(), type(task).__name__)
                if self._runs_services:
                    self._spawn(self.services.run(), "services")
                self._spawn(self._follow_events(), "docker events")
                self.static.changed = self._static_pods_changed
                self._spawn(self.static.read(), "static pods")  # these wait for no API server
                # a pod is told of every service that exists: without them it must not start
                await self.services.synced()
                await self.pods.synced()
                self._adopt()
                self._spawn(self.static.mirror(), "mirrors")
                self._spawn(self._keep_honest(), "relist")
                self._spawn(self.collector.run(), "collector")
                self._spawn(self.disks.run(), "disks")
                self._spawn(self._keep_files_current(), "refresh")
        finally:
            await self.images.close()

    def worker_of(self, pod: str) -> Worker | None:
        """The worker of a pod that the API server knows, by its key."""
        return next((w for w in self.workers.values() if key(w.pod) == pod and not w.gone), None)

    def trouble(self) -> str:
        """What is wrong, "" when all is well."""
        return self.node.trouble

    def _tell_of_node(self, reason: str, message: str) -> None:
        self.recorder.event(Node(metadata=self.node.metadata), reason, message)

    def _living(self) -> set[str]:
        return {worker.uid for worker in self.workers.values() if not worker.gone and not has_ended(worker.pod)}

    def _tenants(self, but: str) -> list[Tenant]:
        others = [worker for uid, worker in self.workers.items() if uid != but]
        return [worker.tenant for worker in others if not worker.gone and not has_ended(worker.pod)]

    # -- what wakes a worker --------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Give every pod its worker; from now on changes are told."""
        self._tell_of_node("starting", "Starting kubelet.")
        self.pods.on_change(self._pod_changed)
        self.static.mirrors = self.pods.store
        for pod in self.pods.store.values():
            self._pod_changed(None, pod)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if (pod := new or old) is not None and is_mirror(pod):
            self._mirror_changed(pod, removed=new is None)
        elif new is None:
            self._pod_removed(old.metadata.uid if old else "")
        elif worker := self.workers.get(new.metadata.uid):
            worker.update(new)
        elif not self.reports.finishing(new.metadata.uid):  # else it is only our own last word on it
            self._start_worker(new)

    def _pod_removed(self, uid: str) -> None:
        self.reports.forget(uid)
        if worker := self.workers.get(uid):
            worker.gone = True
            worker.wake("the API server has removed the pod")

    def _static_pods_changed(self) -> None:
        for uid, pod in self.static.pods.items():
            if uid not in self.workers:
                mirror = self.static.mirrors.get(key(pod))
                self._start_worker(pod, static=True).reflect(mirror if mirror and is_mirror(mirror) else None)
        for worker in self.workers.values():
            if worker.static and worker.uid not in self.static.pods:
                worker.gone = True
                worker.wake("its manifest is gone")

    def _mirror_changed(self, mirror: Pod, *, removed: bool) -> None:
        if removed:
            self.reports.forget(mirror.metadata.uid)
        if worker := self.workers.get(mirror.metadata.annotations[MIRROR]):
            worker.reflect(None if removed else mirror)
        self.static.look_at(mirror)

    async def _follow_events(self) -> None:
        """Docker's events wake the pod whose container it was; after a gap in them everything is looked at."""
        failures = 0
        while True:
            try:
                async with aclosing(self.runtime.events()) as events:
                    async for event in events:
                        failures = 0
                        if event.what == "connected":
                            self._relist.set()
                        elif worker := self.workers.get(event.pod_uid):
                            what = f"docker: {event.what} {event.container_id[:12]}"
                            trace.begin(Kubelet._follow_events, what=what)
                            worker.wake(what)
            except RuntimeFailure as exc:
                failures += 1
                self.trace.log("lost docker's events", level="warning", error=str(exc))
            await asyncio.sleep(delay(failures, first=0.2, most=5.0))

    async def _keep_honest(self) -> None:
        """Every 10 s compare all containers with what the workers last saw: events can be missed."""
        while True:
            try:
                await self.relist()
            except (RuntimeFailure, VolumeFailure) as exc:
                self.trace.log("relist failed", level="warning", error=str(exc))
            self._relist.clear()
            try:
                async with asyncio.timeout(self.settings.relist_seconds):
                    await self._relist.wait()
            except TimeoutError:
                pass

    async def _keep_files_current(self) -> None:
        """Every --sync-frequency bring the files of all pods up to date with their secrets and config maps."""
        while True:
            await asyncio.sleep(self.settings.sync_seconds)
            began = time.monotonic()
            workers = list(self.workers.values())
            for worker in workers:
                await worker.refresh(began)
            self.sources.keep({(w.pod.metadata.namespace, each) for w in workers for each in referred_by(w.pod)})

    async def relist(self) -> None:
        """Wake the workers of pods whose containers changed, and find what no pod is known for."""
        by_uid: dict[str, list[Container]] = {}
        for container in await self.runtime.containers():
            by_uid.setdefault(container.pod_uid, []).append(container)
        for uid, containers in by_uid.items():
            worker = self.workers.get(uid)
            if worker is None:
                if not self.static.ready:
                    continue  # they may be a static pod's
                self.trace.log("containers without a pod", pod=containers[0].pod, uid=uid)
                self._start_worker(orphan(containers)).gone = True
            elif worker.seen != frozenset(container.look for container in containers):
                worker.wake("relist found a difference")
        for uid, worker in self.workers.items():
            if uid not in by_uid and worker.seen:
                worker.wake("relist found its containers gone")
        for uid in self.volumes.pods() - set(self.workers) if self.static.ready else ():
            self.trace.log("directory without a pod removed", uid=uid)
            await self.volumes.tear_down(uid)

    # -- workers --------------------------------------------------------------------------------------------

    def _start_worker(self, pod: Pod, *, static: bool = False) -> Worker:
        shared = Shared(
            settings=self.settings,
            runtime=self.runtime,
            images=self.images,
            volumes=self.volumes,
            sources=self.sources,
            claims=self.claims,
            reports=self.reports,
            recorder=self.recorder,
            services=lambda: [self.services.store[name] for name in sorted(self.services.store)],
            spawn=self._spawn,
            trace=self.trace,
            out_of_disk=lambda: self.disks.full,
            tenants=self._tenants,
        )
        worker = self.workers[pod.metadata.uid] = Worker(shared, pod, static=static)
        self._spawn(self._work(worker), f"pod {key(pod)}")
        return worker

    async def _work(self, worker: Worker) -> None:
        await worker.run()
        del self.workers[worker.uid]

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._group.create_task(work, name=name)
