"""One pod's task: look at its containers, let plan() decide, act, report; then wait for the next cause to look.

Each pod has its own, so a slow pod never holds up another.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from math import inf

from msgspec.structs import replace

from labkit import trace
from labkit.api.types import ObjectMeta, Pod, key
from labkit.client.backoff import delay
from labkit.components.kubelet import host_ports
from labkit.components.kubelet.act import Hands
from labkit.components.kubelet.actions import Memory, Plan
from labkit.components.kubelet.plan import deadline_of, has_ended, latest, plan, spec_hash
from labkit.components.kubelet.probes import Probes, Verdict
from labkit.components.kubelet.runtime import PAUSE, Container, RuntimeFailure
from labkit.components.kubelet.shared import Shared
from labkit.components.kubelet.status import Seen, status_of
from labkit.components.kubelet.volume_files import VolumeFailure

FRESH_SECONDS = 60
"""For what changed in the pod itself its secrets need not be read again."""

EVICTED = "Evicted"
NO_SPACE = "Pod cannot be started due to lack of disk space."
OVERDUE = "Pod was active on the node longer than specified deadline"


class Worker:
    """Makes one pod so, until nothing is left of it."""

    def __init__(self, shared: Shared, pod: Pod, *, static: bool = False) -> None:
        self.shared = shared
        self.pod = _with_status(pod, pod)
        self.static = static
        self.reported = None if static else pod  # whose status the API server is told: a static pod's mirror
        self.uid = pod.metadata.uid
        self.gone = False  # the API server does not know it any more
        self._let_in = False  # nothing of this node speaks against it
        self.seen: frozenset[tuple[str, str, bool]] = frozenset()  # Container.look of each, as last looked at
        self.memory = Memory()
        self._hands = Hands(shared, self.memory, self.wake)
        self._probes = Probes(shared.runtime, shared.spawn, self._probed)
        self._cause = trace.because("kubelet saw the pod")
        self._wake = asyncio.Event()
        self._gave_back = False
        self._told_anew = False  # its labels or annotations changed, which files may tell its containers

    def wake(self, cause: str) -> None:
        self._cause = trace.because(cause)
        self._wake.set()

    def update(self, pod: Pod) -> None:
        """The API server has a newer pod; its status is ours to say, so we keep what we said."""
        before = {spec.name: spec_hash(spec) for spec in self.pod.spec.containers}
        for spec in pod.spec.containers:
            if before.get(spec.name) != spec_hash(spec):
                self._hands.forget(spec.name)
        meta, new = self.pod.metadata, pod.metadata
        self._told_anew = self._told_anew or (meta.labels, meta.annotations) != (new.labels, new.annotations)
        self.pod = _with_status(pod, self.pod)
        self.reported = pod
        self.shared.reports.seen(pod)
        self.wake("the pod changed")

    def reflect(self, mirror: Pod | None) -> None:
        """The mirror of this static pod, as the API server has it now."""
        self.reported = mirror
        if mirror is not None:
            self.shared.reports.seen(mirror)
            self.wake("its mirror changed")

    async def run(self) -> None:
        """Work until nothing is left of the pod; trouble with the runtime is waited out with a growing delay."""
        failures = 0
        try:
            while True:
                self._wake.clear()
                trace.go_on(self._cause)
                try:
                    due = await self.sync()
                    failures = 0
                except (RuntimeFailure, VolumeFailure) as exc:
                    failures += 1
                    due = time.time() + delay(failures, first=1.0, most=30.0)
                    self.shared.trace.log("sync failed", level="warning", pod=key(self.pod), error=str(exc))
                if due is None:
                    return
                await self._sleep(due)
        finally:
            self._probes.stop()
            await self._hands.stop()

    async def sync(self) -> float | None:
        """Look, decide, act until nothing is left to do; when to look again, or None when the pod is no more."""
        if self._told_anew:
            self._told_anew = False
            await self.refresh(time.monotonic() - FRESH_SECONDS)
        while True:
            containers = await self.shared.runtime.containers(self.uid)
            self._tell_of_crowds(containers)
            self.seen = frozenset(container.look for container in containers)
            self._forget(containers)
            self._probe(containers)
            if time.time() >= deadline_of(self.pod):
                self.fail("DeadlineExceeded", OVERDUE, "deadline")
            if containers:
                self._let_in = True
            elif self._is_new():
                self._let_in_or_refuse()
            decided = plan(None if self.gone else self.pod, containers, self.memory, time.time())
            self._report(containers, decided)
            if decided.gone:
                await self._finish()
                return None
            if not decided.actions:
                if self.pod.status.reason == EVICTED and await self._give_back(containers):
                    continue
                return decided.due
            for action in decided.actions:
                await self._hands.act(action, self.pod, containers)

    async def refresh(self, since: float) -> None:
        """Bring the files of its volumes up to date, from sources read after `since` (monotonic)."""
        if not self.gone and not has_ended(self.pod):
            await self._hands.volumes.refresh(self.pod, since)

    @property
    def places(self) -> Mapping[str, str]:
        """Where its volumes are, by name."""
        return self._hands.volumes.places

    def fail(self, reason: str, message: str, event: str, told: str = "") -> None:
        """The pod's life is over whatever its restart policy says: its containers are ended, and none is started."""
        self.shared.event(self.pod, event, told or message)
        status = replace(self.pod.status, phase="Failed", reason=reason, message=message)
        self.pod = Pod(metadata=self.pod.metadata, spec=self.pod.spec, status=status)
        self.wake(message)

    # -- look and report --------------------------------------------------------------------------------------------

    async def _give_back(self, containers: Sequence[Container]) -> bool:
        """What an evicted pod took: its containers' files and its volumes go at once; whether there was anything."""
        if not has_ended(self.pod) or any(container.running for container in containers) or self._gave_back:
            return False
        for container in containers:
            await self.shared.runtime.remove(container.id)
        await self._hands.volumes.end(self.uid)
        self._gave_back = True
        return True

    def _let_in_or_refuse(self) -> None:
        """Nothing is awaited here: of two pods that look at the same time one is first."""
        if self.shared.out_of_disk():
            self.fail("OutOfDisk", NO_SPACE, "outofdisk", "Cannot start the pod due to lack of disk space.")
        elif not self._let_in and host_ports.taken(self.pod, self.shared.tenants(self.uid)):
            self.fail(host_ports.REASON, host_ports.MESSAGE, host_ports.EVENT, host_ports.TOLD)
        else:
            self._let_in = True

    @property
    def tenant(self) -> host_ports.Tenant:
        """The pod, and whether it was let in, by us or before we began."""
        return host_ports.Tenant(self.pod, self._let_in or not self._is_new())

    def _is_new(self) -> bool:
        known = self.pod.status.container_statuses
        return not self.gone and not has_ended(self.pod) and not any(status.container_id for status in known)

    def _tell_of_crowds(self, containers: Sequence[Container]) -> None:
        """Once of each container that wants more processes than it may have."""
        told = {container_id for container_id, _, was_crowded in self.seen if was_crowded}
        for container in containers:
            if container.crowded and container.id not in told:
                text = f"fork refused: {container.pids_limit} processes and threads are all that it may have"
                self.shared.event(self.pod, "tooManyProcesses", f"{text} (--pod-max-pids)", container.name)

    def _forget(self, containers: Sequence[Container]) -> None:
        """Drop what we remember of containers that are no more."""
        ids = {container.id for container in containers}
        for remembered in (self.memory.hooks, self.memory.signalled, self.memory.unhealthy):
            for container_id in [known for known in remembered if known not in ids]:
                del remembered[container_id]

    def _probe(self, containers: Sequence[Container]) -> None:
        pause = latest(containers).get(PAUSE)
        on_host = self.pod.spec.host_network
        address = self.shared.settings.address if on_host else pause.ip if pause else ""
        self._probes.follow(self.pod, containers, address)

    def _probed(self, kind: str, container: Container, verdict: Verdict) -> None:
        """A probe changed its mind, or failed once more."""
        if not verdict.passed:
            text = f"{kind} probe failed: {verdict.text}"
            self.shared.event(self.pod, "unhealthy", text, container.name)
            if kind == "Liveness":
                self.memory.unhealthy[container.id] = text
        self.wake(f"{kind} probe of {container.name}")

    def _report(self, containers: Sequence[Container], decided: Plan) -> None:
        if self.gone:
            return
        seen = Seen(containers, decided.waiting, self._probes.unready)
        status = status_of(self.pod, seen, self.shared.settings.address, time.time())
        if self.reported is not None:
            self.shared.reports.set(self.reported, status)
        self.pod.status = status

    async def _finish(self) -> None:
        await self._hands.volumes.end(self.uid)
        if self.gone:
            self.shared.reports.forget(self.uid)
        else:
            self.shared.reports.finish(self.pod)
        self.shared.decided("pod is gone", self.pod, self._cause)

    async def _sleep(self, due: float) -> None:
        """Until somebody wakes us, or it is time."""
        try:
            async with asyncio.timeout(None if due == inf else max(0.0, due - time.time())):
                await self._wake.wait()
        except TimeoutError:
            self._cause = trace.because("it was time to look again")


def orphan(containers: Sequence[Container]) -> Pod:
    """A pod of which only its containers are known."""
    namespace, _, name = containers[0].pod.partition("/")
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace, uid=containers[0].pod_uid))


def _with_status(pod: Pod, before: Pod) -> Pod:
    """The new pod with the status that we said before; a shallow copy, as the informer's objects belong to all."""
    return Pod(metadata=pod.metadata, spec=pod.spec, status=before.status)
