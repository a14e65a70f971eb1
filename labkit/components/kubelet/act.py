"""Doing what was decided: one action of a plan at a time, with the events that people read in `kubectl describe`.

Nothing here waits long: a pull or a clone goes on in the background, and what failed leaves a setback with a time to
try again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from labkit import trace
from labkit.api.types import Container as Spec
from labkit.api.types import Pod
from labkit.components.kubelet.actions import (
    Action,
    Memory,
    PreStop,
    Remove,
    Signal,
    Start,
    StartPause,
)
from labkit.components.kubelet.configure import Birth, configure_container, configure_pause
from labkit.components.kubelet.disk_quota import allowance_of
from labkit.components.kubelet.env import VariableFailure, Variables, env_for_services, env_of, skipped_keys
from labkit.components.kubelet.fields import Addresses
from labkit.components.kubelet.hooks import Hooks
from labkit.components.kubelet.image_supply import ImageSupply
from labkit.components.kubelet.plan import FIRST_BACKOFF, latest
from labkit.components.kubelet.pod_volumes import PodVolumes
from labkit.components.kubelet.resolver import resolver_of
from labkit.components.kubelet.runtime import (
    PAUSE,
    Container,
    ContainerConfig,
    NoSuchImage,
    RuntimeFailure,
    RuntimeUnavailable,
)
from labkit.components.kubelet.setbacks import Setbacks
from labkit.components.kubelet.settings import Settings
from labkit.components.kubelet.shared import Shared
from labkit.components.kubelet.sources import SourceFailure, referred_by_variables
from labkit.components.kubelet.volume_files import VolumeFailure


class Hands:
    """The actions of one pod. What they leave to be remembered goes into `memory`, which plan() reads."""

    def __init__(self, shared: Shared, memory: Memory, wake: Callable[[str], None]) -> None:
        self._shared = shared
        self._memory = memory
        self._wake = wake
        self._setbacks = Setbacks(memory)
        self._images = ImageSupply(shared, self._setbacks, wake)
        self.volumes = PodVolumes(shared, self._volumes_made)
        self._await_volumes: set[str] = set()
        self._hooks = Hooks(shared, memory, wake)

    async def act(self, action: Action, pod: Pod, containers: Sequence[Container]) -> None:
        """Do one thing; RuntimeFailure when docker refuses to end or remove, or does not answer."""
        match action:
            case StartPause():
                await self._start_pause(action, pod)
            case Start():
                await self._start(action, pod, latest(containers)[PAUSE])
            case PreStop():
                self._hooks.pre_stop(action, pod, self._address(pod, latest(containers).get(PAUSE)))
            case Signal():
                await self._signal(action, pod)
            case Remove(container, cause):
                self._shared.decided("remove container", pod, cause, container=container.name, id=container.id)
                await self._shared.runtime.remove(container.id)

    def forget(self, name: str) -> None:
        """Start over with a container whose spec has changed."""
        self._setbacks.clear(name)
        self._images.forget(name)

    async def stop(self) -> None:
        self._hooks.stop()
        self._images.stop()
        await self.volumes.stop()

    # -- start and end ----------------------------------------------------------------------------------------------

    async def _start_pause(self, action: StartPause, pod: Pod) -> None:
        settings = self._shared.settings
        if not await self._have_volumes(pod, PAUSE) or not await self._images.have(
            pod, Spec(name=PAUSE, image=settings.pause_image)
        ):
            return
        resolver = resolver_of(pod, settings.cluster_dns, settings.cluster_domain, settings.machine_resolver)
        birth = Birth(action.attempt, action.backoff, settings.node)
        config = configure_pause(pod, settings.pause_image, resolver, birth)
        if await self._launch(pod, PAUSE, config, action):
            self._setbacks.clear_starts()

    async def _start(self, action: Start, pod: Pod, pause: Container) -> None:
        spec = next(spec for spec in pod.spec.containers if spec.name == action.name)
        if wrong := refusal(spec, self._shared.settings):
            self._shared.event(pod, "failed", wrong, spec.name)
            return self._setbacks.set(spec.name, "Forbidden", wrong)
        if not await self._have_volumes(pod, spec.name) or not await self._images.have(pod, spec):
            return None
        try:
            env = await self._environment(pod, spec, pause)
            places = await asyncio.to_thread(self._shared.volumes.parts, pod, spec, self.volumes.places)
        except (VariableFailure, SourceFailure, VolumeFailure) as exc:
            self._shared.event(pod, "failed", f"Error: {exc}", spec.name)
            return self._setbacks.set(spec.name, "CreateContainerConfigError", str(exc), longest=FIRST_BACKOFF)
        try:
            config = await asyncio.to_thread(self._configure, action, pod, spec, pause, env, places)
        except (ValueError, KeyError, OSError) as exc:
            self._shared.event(pod, "failed", f"Failed to create docker container with error: {exc}", spec.name)
            return self._setbacks.set(spec.name, "RunContainerError", str(exc))
        if made := await self._launch(pod, spec.name, config, action):
            self._hooks.post_start(pod, spec, made, self._address(pod, pause))
        return None

    def _address(self, pod: Pod, pause: Container | None) -> str:
        """Where the pod is reached."""
        return self._shared.settings.address if pod.spec.host_network else pause.ip if pause else ""

    async def _environment(self, pod: Pod, spec: Spec, pause: Container) -> Variables:
        """Raises VariableFailure, SourceFailure."""
        shared = self._shared
        found = await shared.sources.read(referred_by_variables(spec), pod.metadata.namespace)
        services = env_for_services(shared.services(), pod.metadata.namespace)
        host = shared.settings.address
        addresses = Addresses(host if pod.spec.host_network else pause.ip, host)
        env = env_of(spec, pod, addresses, services, found)
        if skipped := skipped_keys(spec, found):
            message = f"not the name of a variable, left out of envFrom: {', '.join(skipped)}"
            shared.event(pod, "invalidEnvironmentVariableNames", message, spec.name)
        return env

    def _configure(
        self, action: Start, pod: Pod, spec: Spec, pause: Container, env: Variables, places: Mapping[str, str]
    ) -> ContainerConfig:
        log = self._shared.volumes.termination_log(pod.metadata.uid, spec.name)
        settings = self._shared.settings
        birth = Birth(action.attempt, action.backoff, settings.node)
        config = configure_container(pod, spec, pause.id, env, {**places, "": str(log)}, birth)
        disk = allowance_of(spec, settings.disk_allowance)
        return replace(config, resources=replace(config.resources, pids=settings.pod_max_pids, disk=disk))

    async def _launch(self, pod: Pod, name: str, config: ContainerConfig, action: Start | StartPause) -> str:
        """Create and start; its id, or "" when that failed."""
        shared = self._shared
        about = {"container": name, "attempt": action.attempt, "image": config.image}
        shared.decided("start container", pod, action.cause, **about)
        try:
            made = await shared.runtime.create(config)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as exc:
            shared.event(pod, "failed", f"Failed to create docker container with error: {exc}", name)
            reason = "no such image" if isinstance(exc, NoSuchImage) else "RunContainerError"
            self._setbacks.set(name, reason, str(exc))
            return ""
        trace.step(type(shared.runtime).create, name)
        shared.event(pod, "created", f"Created with docker id {made}", name)
        try:
            await shared.runtime.start(made)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as exc:
            shared.event(pod, "failed", f"Failed to start with docker id {made} with error: {exc}", name)
            # docker keeps the error on the container, from where plan() takes its back-off
            self._setbacks.until(name, "RunContainerError", str(exc), time.time() + max(1.0, action.backoff))
            return ""
        trace.step(type(shared.runtime).start, name)
        shared.event(pod, "started", f"Started with docker id {made}", name)
        self._setbacks.clear(name)
        return made

    async def _signal(self, action: Signal, pod: Pod) -> None:
        container = action.container
        about = {"container": container.name, "id": container.id, "signal": action.signal}
        self._shared.decided("end container", pod, action.cause, **about)
        if container.id not in self._memory.signalled:
            self._shared.event(pod, "killing", f"Killing {container.id}", container.name)
        await self._shared.runtime.signal(container.id, action.signal)
        self._memory.signalled[container.id] = time.time()

    # -- volumes ----------------------------------------------------------------------------------------------------

    async def _have_volumes(self, pod: Pod, name: str) -> bool:
        """Whether all volumes of the pod are there; if not, they are being made or a setback says why not.

        They are looked at anew for each pause container: after a reboot what was in memory is gone.
        """
        try:
            if await self.volumes.make(pod, anew=name == PAUSE):
                return True
        except (VolumeFailure, SourceFailure, OSError) as exc:
            self.volumes.tell(pod, exc)
            self._setbacks.set(name, "ContainerCreating", f"volumes: {exc}", longest=FIRST_BACKOFF)
            return False
        self._setbacks.until(name, "ContainerCreating", "volumes are being made")
        self._await_volumes.add(name)
        return False

    def _volumes_made(self) -> None:
        for name in self._await_volumes:
            self._memory.setbacks.pop(name, None)
        self._await_volumes.clear()
        self._wake("the volumes were made")


def refusal(spec: Spec, settings: Settings) -> str:
    """Why this kubelet will not run such a container; "" when it will."""
    if spec.security_context is None or not spec.security_context.privileged:
        return ""
    wants = f'container "{spec.name}" wants to be privileged:'
    if not settings.allow_privileged:
        return f"{wants} this kubelet allows none (--allow-privileged=false)"
    if settings.capabilities_missing:
        return f"{wants} this machine itself lacks capabilities {sorted(settings.capabilities_missing)}"
    return ""
