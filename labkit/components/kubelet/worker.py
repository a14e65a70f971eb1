"""One pod's task: look at its containers, let plan() decide, act, report; then wait for the next cause to look.

Each pod has its own, so a slow pod never holds up another. Nothing here waits long: pulls run in the background, and
the end of a grace period is a time to look again.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from labkit.api.types import Container as Spec
from labkit.api.types import ObjectMeta, Pod, Service
from labkit.client.backoff import delay
from labkit.client.events import EventRecorder
from labkit.components.kubelet.configure import Birth, configure_container, configure_pause
from labkit.components.kubelet.env import env_for_services, env_of
from labkit.components.kubelet.images import Images, must_pull, pull_policy
from labkit.components.kubelet.plan import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    Action,
    Memory,
    Plan,
    Remove,
    Setback,
    Signal,
    Start,
    StartPause,
    latest,
    plan,
    spec_hash,
)
from labkit.components.kubelet.report import Reports
from labkit.components.kubelet.resolver import resolver_of
from labkit.components.kubelet.runtime import (
    PAUSE,
    Container,
    ContainerConfig,
    NoSuchImage,
    Runtime,
    RuntimeFailure,
    RuntimeUnavailable,
)
from labkit.components.kubelet.settings import Settings
from labkit.components.kubelet.status import Seen, status_of
from labkit.components.kubelet.volumes import VolumeFailure, Volumes
from labkit.trace import Tracer


@dataclass(frozen=True)
class Shared:
    """What all workers of a kubelet use. services: all that exist now. spawn: a task that ends with the kubelet."""

    settings: Settings
    runtime: Runtime
    images: Images
    volumes: Volumes
    reports: Reports
    recorder: EventRecorder
    services: Callable[[], Sequence[Service]]
    spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
    trace: Tracer


class Worker:
    """Makes one pod so, until nothing is left of it."""

    def __init__(self, shared: Shared, pod: Pod) -> None:
        self.shared = shared
        self.pod = _with_status(pod, pod)
        self.uid = pod.metadata.uid
        self.gone = False  # the API server does not know it any more
        self.seen: frozenset[tuple[str, str]] = frozenset()  # ids and states of its containers, as last looked at
        self.memory = Memory()
        self._cause = "kubelet saw the pod"
        self._wake = asyncio.Event()
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._pulled: set[str] = set()  # containers whose image is here for their next start
        self._failures: dict[str, int] = {}

    def wake(self, cause: str) -> None:
        self._cause = cause
        self._wake.set()

    def update(self, pod: Pod) -> None:
        """The API server has a newer pod; its status is ours to say, so we keep what we said."""
        before = {spec.name: spec_hash(spec) for spec in self.pod.spec.containers}
        for spec in pod.spec.containers:
            if before.get(spec.name) != spec_hash(spec):
                self._forget_setback(spec.name)
                self._pulled.discard(spec.name)
        self.pod = _with_status(pod, self.pod)
        self.shared.reports.seen(pod)
        self.wake("the pod changed")

    async def run(self) -> None:
        """Work until nothing is left of the pod; trouble with the runtime is waited out with a growing delay."""
        failures = 0
        try:
            while True:
                self._wake.clear()
                try:
                    due = await self.sync()
                    failures = 0
                except (RuntimeFailure, VolumeFailure) as exc:
                    failures += 1
                    due = time.time() + delay(failures, first=1.0, most=30.0)
                    self.shared.trace.log("sync failed", level="warning", pod=self._key, error=str(exc))
                if due is None:
                    return
                await self._sleep(due)
        finally:
            for task in self._pulls.values():
                task.cancel()

    async def sync(self) -> float | None:
        """Look, decide, act until nothing is left to do; when to look again, or None when the pod is no more."""
        while True:
            containers = await self.shared.runtime.containers(self.uid)
            self.seen = frozenset((container.id, container.state) for container in containers)
            decided = plan(None if self.gone else self.pod, containers, self.memory, time.time())
            self._report(containers, decided)
            if decided.gone:
                self._finish()
                return None
            if not decided.actions:
                return decided.due
            for action in decided.actions:
                await self._act(action, containers)
            self._forget(containers)

    # -- act ------------------------------------------------------------------------------------------------

    async def _act(self, action: Action, containers: Sequence[Container]) -> None:
        match action:
            case StartPause():
                await self._start_pause(action)
            case Start():
                await self._start(action, latest(containers)[PAUSE])
            case Signal(container, signal, cause):
                self._decided("end container", cause, container, signal=signal)
                if container.id not in self.memory.signalled:
                    self._event("killing", f"Killing {container.id}", container.name)
                await self.shared.runtime.signal(container.id, signal)
                self.memory.signalled[container.id] = time.time()
            case Remove(container, cause):
                self._decided("remove container", cause, container)
                await self.shared.runtime.remove(container.id)

    async def _start_pause(self, action: StartPause) -> None:
        settings = self.shared.settings
        try:
            await asyncio.to_thread(self.shared.volumes.set_up, self.pod)
        except (VolumeFailure, OSError) as exc:
            self._event("failedMount", f'Unable to mount volumes for pod "{self.pod.metadata.name}": {exc}')
            return self._set_back(PAUSE, "ContainerCreating", f"volumes: {exc}")
        if not await self._have_image(Spec(name=PAUSE, image=settings.pause_image)):
            return None
        resolver = resolver_of(self.pod, settings.cluster_dns, settings.cluster_domain, settings.machine_resolver)
        birth = Birth(action.attempt, action.backoff, settings.node)
        config = configure_pause(self.pod, settings.pause_image, resolver, birth)
        await self._launch(PAUSE, config, action)
        return None

    async def _start(self, action: Start, pause: Container) -> None:
        spec = next(spec for spec in self.pod.spec.containers if spec.name == action.name)
        if wrong := self._refused(spec):
            self._event("failed", wrong, spec.name)
            return self._set_back(spec.name, "Forbidden", wrong)
        if not await self._have_image(spec):
            return None
        try:
            config = await asyncio.to_thread(self._configure, action, spec, pause)
        except (ValueError, KeyError, OSError, VolumeFailure) as exc:
            self._event("failed", f"Failed to create docker container with error: {exc}", spec.name)
            return self._set_back(spec.name, "RunContainerError", str(exc))
        await self._launch(spec.name, config, action)
        return None

    def _configure(self, action: Start, spec: Spec, pause: Container) -> ContainerConfig:
        volumes, settings = self.shared.volumes, self.shared.settings
        mounts = volumes.set_up(self.pod) | {"": str(volumes.termination_log(self.uid, spec.name))}
        services = env_for_services(self.shared.services(), self.pod.metadata.namespace)
        address = settings.address if self.pod.spec.host_network else pause.ip
        env = env_of(spec, self.pod, address, services)
        birth = Birth(action.attempt, action.backoff, settings.node)
        return configure_container(self.pod, spec, pause.id, env, mounts, birth)

    def _refused(self, spec: Spec) -> str:
        """Why this kubelet will not run such a container; "" when it will."""
        if spec.security_context is None or not spec.security_context.privileged:
            return ""
        if not self.shared.settings.allow_privileged:
            return f'container "{spec.name}" specified privileged, which this kubelet refuses (--allow-privileged)'
        return ""

    async def _launch(self, name: str, config: ContainerConfig, action: Start | StartPause) -> None:
        """Create and start, with the events that people read."""
        runtime = self.shared.runtime
        self._decided("start container", action.cause, container=name, attempt=action.attempt, image=config.image)
        try:
            container_id = await runtime.create(config)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as exc:
            self._event("failed", f"Failed to create docker container with error: {exc}", name)
            reason = "no such image" if isinstance(exc, NoSuchImage) else "RunContainerError"
            return self._set_back(name, reason, str(exc))
        self._event("created", f"Created with docker id {container_id}", name)
        try:
            await runtime.start(container_id)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as exc:
            self._event("failed", f"Failed to start with docker id {container_id} with error: {exc}", name)
            # docker keeps the error on the container, from where plan() takes its back-off
            self.memory.setbacks[name] = Setback("RunContainerError", str(exc), time.time() + max(1.0, action.backoff))
            return None
        self._event("started", f"Started with docker id {container_id}", name)
        self._forget_setback(name)
        return None

    # -- images ---------------------------------------------------------------------------------------------

    async def _have_image(self, spec: Spec) -> bool:
        """Whether the image is here for this start; if not, a pull has begun or a setback says why none has."""
        if spec.name in self._pulled:
            self._pulled.discard(spec.name)
            return True
        try:
            present = bool(await self.shared.runtime.image(spec.image))
        except NoSuchImage:
            present = False
        policy = pull_policy(spec.image_pull_policy, spec.image)
        if must_pull(policy, present):
            self.memory.setbacks[spec.name] = Setback("ContainerCreating", f"pulling image {spec.image}", inf)
            self._pulls[spec.name] = self.shared.spawn(self._pull(spec), f"image-{spec.image}")
            return False
        if present and spec.name == PAUSE:
            self._event("pulled", f'Pod container image "{spec.image}" already present on machine', PAUSE)
        if not present:
            self._event("failed", "Failed to create docker container with error: no such image", spec.name)
            self._set_back(
                spec.name, "no such image", f'image "{spec.image}" is not here, and imagePullPolicy is Never'
            )
        return present

    async def _pull(self, spec: Spec) -> None:
        try:
            self._decided("pull image", f"imagePullPolicy {spec.image_pull_policy or 'IfNotPresent'}", image=spec.image)
            await self.shared.images.pull(spec.image)
        except RuntimeFailure as exc:
            message = f'Failed to pull image "{spec.image}": {exc}'
            self._event("failed", message, spec.name)
            again = spec.name in self._failures
            self._set_back(spec.name, "ImagePullBackOff" if again else "ErrImagePull", message)
        else:
            self._event("pulled", f'Successfully pulled image "{spec.image}"', spec.name)
            self._pulled.add(spec.name)
            self._forget_setback(spec.name)
        self.wake("the pull ended")

    # -- the small functions --------------------------------------------------------------------------------

    def _report(self, containers: Sequence[Container], decided: Plan) -> None:
        if self.gone:
            return
        seen = Seen(containers, decided.waiting, frozenset(self.memory.unhealthy))
        status = status_of(self.pod, seen, self.shared.settings.address, time.time())
        self.shared.reports.set(self.pod, status)
        self.pod.status = status

    def _finish(self) -> None:
        self.shared.volumes.tear_down(self.uid)
        if self.gone:
            self.shared.reports.forget(self.uid)
        else:
            self.shared.reports.finish(self.pod)
        self._decided("pod is gone", self._cause)

    def _set_back(self, name: str, reason: str, message: str) -> None:
        """It did not work: try again in 10 s, then 20, ... 300."""
        self._failures[name] = self._failures.get(name, 0) + 1
        seconds = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (self._failures[name] - 1))
        self.memory.setbacks[name] = Setback(reason, message, time.time() + seconds)

    def _forget_setback(self, name: str) -> None:
        self.memory.setbacks.pop(name, None)
        self._failures.pop(name, None)
        if (task := self._pulls.pop(name, None)) is not None and task is not asyncio.current_task():
            task.cancel()

    def _forget(self, containers: Sequence[Container]) -> None:
        """Drop what we remember of containers that are no more."""
        ids = {container.id for container in containers}
        for remembered in (self.memory.signalled, self.memory.unhealthy):
            for container_id in [known for known in remembered if known not in ids]:
                del remembered[container_id]

    async def _sleep(self, due: float) -> None:
        """Until somebody wakes us, or it is time."""
        try:
            async with asyncio.timeout(None if due == inf else max(0.0, due - time.time())):
                await self._wake.wait()
        except TimeoutError:
            self._cause = "it was time to look again"

    @property
    def _key(self) -> str:
        return f"{self.pod.metadata.namespace}/{self.pod.metadata.name}"

    def _event(self, reason: str, message: str, container: str = "") -> None:
        path = {"": "", PAUSE: f"implicitly required container {PAUSE}"}.get(
            container, f"spec.containers{{{container}}}"
        )
        self.shared.recorder.event(self.pod, reason, message, field_path=path)

    def _decided(self, decision: str, cause: str, seen: Container | None = None, **fields: object) -> None:
        if seen is not None:
            fields |= {"container": seen.name, "id": seen.id}
        self.shared.trace.decision(decision, self.pod, cause=cause, function=plan, woken_by=self._cause, **fields)


def orphan(containers: Sequence[Container]) -> Pod:
    """A pod of which only its containers are known."""
    namespace, _, name = containers[0].pod.partition("/")
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace, uid=containers[0].pod_uid))


def _with_status(pod: Pod, before: Pod) -> Pod:
    """The new pod with the status that we said before; a shallow copy, as the informer's objects belong to all."""
    return Pod(metadata=pod.metadata, spec=pod.spec, status=before.status)
