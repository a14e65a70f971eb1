"""The way back to the API server: statuses of pods, and the last word on those that were to be deleted.

The pods' workers say what should be known and go on; here it is written, again and again until the API server has it.
What is said of a pod on its way up (its address, which container waits for what) waits a moment: most pods run by then,
and that is one write in place of three, each of which goes through etcd to everybody who watches pods.
"""

from dataclasses import dataclass

from labkit.api.errors import Conflict, Forbidden, Invalid, NotFound
from labkit.api.types import Pod, PodStatus, copy, key
from labkit.client.controller import Controller
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.trace import Tracer

GATHER_SECONDS = 0.25


@dataclass
class _Wanted:
    pod: Pod
    status: PodStatus
    written: bool = False
    resource_version: int = 0  # of our last write
    finished: bool = False


class Reports:
    """By pod uid, the status that the API server should have."""

    def __init__(self, client: Client, trace: Tracer, workers: int = 4) -> None:
        self._client = client
        self._trace = trace
        self._wanted: dict[str, _Wanted] = {}
        self._queue = WorkQueue()
        self._controller = Controller("pod status", self._queue, self.sync, workers=workers, trace=trace)

    async def run(self) -> None:
        await self._controller.run()

    def set(self, pod: Pod, status: PodStatus) -> None:
        """Have this status written, unless it is what the API server has."""
        uid = pod.metadata.uid
        wanted = self._wanted.get(uid)
        if wanted is None:
            wanted = self._wanted[uid] = _Wanted(pod, pod.status, written=True)
        wanted.pod = pod
        if wanted.status != status:
            on_its_way = status.phase == wanted.status.phase == "Pending"
            wanted.status, wanted.written = status, False
            if on_its_way:
                self._queue.add_after(uid, GATHER_SECONDS, cause="status changed")
            else:
                self._queue.add(uid, cause="status changed")

    def finish(self, pod: Pod) -> None:
        """Nothing is left of a pod that was to be deleted: have it removed from the API server."""
        self._wanted.setdefault(pod.metadata.uid, _Wanted(pod, pod.status, written=True)).finished = True
        self._queue.add(pod.metadata.uid, cause="its containers are gone")

    def finishing(self, uid: str) -> bool:
        """Whether nothing is left of it here, though the watch has not yet told of its removal."""
        wanted = self._wanted.get(uid)
        return wanted is not None and wanted.finished

    def forget(self, uid: str) -> None:
        """The API server no longer knows the pod."""
        self._wanted.pop(uid, None)

    def seen(self, pod: Pod) -> None:
        """The API server's copy: when somebody else wrote another status over ours, ours is written again."""
        wanted = self._wanted.get(pod.metadata.uid)
        newer = wanted is not None and int(pod.metadata.resource_version or 0) > wanted.resource_version
        if wanted is not None and wanted.written and newer and pod.status != wanted.status:
            wanted.pod, wanted.written = pod, False
            self._queue.add(pod.metadata.uid, cause="somebody else wrote the status")

    async def sync(self, uid: str) -> None:
        """Write what is not written yet."""
        wanted = self._wanted.get(uid)
        if wanted is None:
            return
        try:
            if not wanted.written:
                await self._write(wanted)
            if wanted.finished:
                await self._delete(wanted.pod)
        except NotFound:
            wanted.written = True  # there is nothing to write it on; the watch will say so too

    async def _write(self, wanted: _Wanted) -> None:
        status, pod = wanted.status, wanted.pod
        try:
            stored = await self._put(pod, status)
        except (Conflict, Forbidden, Invalid):  # it changed meanwhile, or another pod (another node's) has the name now
            fresh = await self._client.get(Pod, pod.metadata.name, pod.metadata.namespace)
            if fresh.metadata.uid != pod.metadata.uid:
                raise NotFound.of("pods", key(pod)) from None
            stored = await self._put(fresh, status)
        wanted.resource_version = int(stored.metadata.resource_version or 0)
        wanted.written = wanted.status is status
        if not wanted.written:  # it changed again meanwhile
            self._queue.add(pod.metadata.uid, cause="status changed")
        self._trace.decision("status written", stored, cause=self._queue.cause(pod.metadata.uid), function=self._write,
                             phase=status.phase, pod_ip=status.pod_ip)  # fmt: skip

    async def _put(self, pod: Pod, status: PodStatus) -> Pod:
        changed = copy(pod)
        changed.status = status
        return await self._client.update_status(changed)

    async def _delete(self, pod: Pod) -> None:
        meta = pod.metadata
        try:
            await self._client.delete(Pod, meta.name, meta.namespace, grace_period_seconds=0, uid=meta.uid)
        except (Conflict, Forbidden):
            return  # another pod has the name now, perhaps on another node
        self._trace.decision("deleted from the API server", pod, cause="its containers are gone", function=self._delete)
