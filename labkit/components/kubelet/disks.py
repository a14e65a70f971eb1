"""Disk space: what is left on this machine, and who took more than he may.

    the disk of docker, the disk of the volumes     less than --low-diskspace-threshold-mb left: no new pods
    what a container wrote outside its volumes      more than limits.ephemeral-storage: its pod is evicted
    what is in an emptyDir                          more than its sizeLimit: its pod is evicted

Where nothing is said, --disk-allowance-mb holds. Everything is measured every 10 s; where docker can, the kernel bounds
what a container writes as well, a little above (disk_quota.py).
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from labkit.api.quantity import value
from labkit.api.types import Pod, Volume
from labkit.components.kubelet.disk_quota import allowance_of
from labkit.components.kubelet.plan import has_ended
from labkit.components.kubelet.runtime import Runtime, RuntimeFailure
from labkit.components.kubelet.worker import EVICTED, Worker
from labkit.trace import Tracer

MEBI = 1 << 20


class Disks:
    """full: no new pod is started. `workers`: those of the pods that are here."""

    def __init__(
        self, runtime: Runtime, root: Path, threshold: int, allowance: int, seconds: float,
        workers: Callable[[], Iterable[Worker]], trace: Tracer,
    ) -> None:  # fmt: skip
        """threshold: bytes that have to be left; allowance: bytes that each may take, 0 for no bound."""
        self.full = False
        self._runtime = runtime
        self._root = root
        self._threshold = threshold
        self._allowance = allowance
        self._seconds = seconds
        self._workers = workers
        self._trace = trace

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except (RuntimeFailure, OSError) as exc:
                self._trace.log("disks not measured", level="warning", error=str(exc))
            await asyncio.sleep(self._seconds)

    async def look(self) -> None:
        """Once. Raises RuntimeFailure, OSError."""
        left = min((await self._runtime.disk()).available, await asyncio.to_thread(available, self._root))
        if (full := left < self._threshold) != self.full:
            self.full = full
            self._trace.log("out of disk" if full else "disk space again", level="warning", bytes_left=left)
        bounded = [w for w in self._workers() if not w.gone and not has_ended(w.pod) and self._is_bounded(w.pod)]
        if bounded:
            written = await self._runtime.written()
            running = [c for c in await self._runtime.containers() if c.running and c.id in written]
            for worker in bounded:
                of_pod = {c.name: written[c.id] for c in running if c.pod_uid == worker.uid}
                await self._look_at(worker, of_pod)

    async def _look_at(self, worker: Worker, of_containers: Mapping[str, int]) -> None:
        places = {v.name: worker.places[v.name] for v in on_disk(worker.pod) if v.name in worker.places}
        of_volumes = {name: await asyncio.to_thread(size_of, place) for name, place in places.items()}
        if told := overdrawn(worker.pod, of_containers, of_volumes, self._allowance):
            worker.fail(EVICTED, told, "evicted")

    def _is_bounded(self, pod: Pod) -> bool:
        return bool(self._allowance or any(bounds_of(pod)))


def overdrawn(pod: Pod, of_containers: Mapping[str, int], of_volumes: Mapping[str, int], allowance: int) -> str:
    """Who wrote more than he may, "" when nobody did; bytes by name of container and of volume."""
    for spec in pod.spec.containers:
        bound = allowance_of(spec, allowance)
        if bound and (wrote := of_containers.get(spec.name, 0)) > bound:
            return (
                f'container "{spec.name}" wrote {_mebi(wrote)}, its allowance is {_mebi(bound)}: write to a volume, or'
                " ask for more with resources.limits.ephemeral-storage"
            )
    for volume in on_disk(pod):
        assert volume.empty_dir is not None
        limit = volume.empty_dir.size_limit
        bound = allowance if limit is None else value(limit)
        if bound and (holds := of_volumes.get(volume.name, 0)) > bound:
            return (
                f'emptyDir "{volume.name}" holds {_mebi(holds)}, its allowance is {_mebi(bound)}: ask for more with'
                " emptyDir.sizeLimit"
            )
    return ""


def bounds_of(pod: Pod) -> list[object]:
    """What a pod itself says of its bounds."""
    limits = [spec.resources.limits.get("ephemeral-storage") for spec in pod.spec.containers]
    return [bound for bound in [*limits, *(v.empty_dir.size_limit for v in on_disk(pod) if v.empty_dir)] if bound]


def on_disk(pod: Pod) -> list[Volume]:
    """Its emptyDirs, those in memory apart."""
    return [v for v in pod.spec.volumes if v.empty_dir is not None and v.empty_dir.medium != "Memory"]


def available(path: Path) -> int:
    """Bytes left for us on the disk of a directory, or of the next one above it that is there."""
    while not path.exists():
        path = path.parent
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def size_of(directory: str | Path) -> int:
    """Bytes on disk of all that is in a directory; what vanishes meanwhile counts nothing."""
    total = 0
    for place, _, files in os.walk(directory):
        for name in files:
            try:
                total += Path(place, name).lstat().st_blocks * 512
            except OSError:
                continue
    return total


def _mebi(amount: int) -> str:
    return f"{amount / MEBI:.1f} MiB"
