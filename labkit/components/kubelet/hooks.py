"""Life-cycle hooks: what a container asks to be done right after its start (postStart) and before its end (preStop).

    exec       a command in the container; anything but exit code 0 is a failure
    httpGet    a GET to the container; any answer will do, only silence is a failure

A container whose postStart hook fails is ended, and started again by its restart policy. A preStop hook that fails
holds nothing up. Source: Kubernetes 1.0, pkg/kubelet/lifecycle/handlers.go.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from labkit.api.types import Container as Spec
from labkit.api.types import Handler, Pod
from labkit.components.kubelet.actions import HookRun, Memory, PreStop
from labkit.components.kubelet.probes import port_number, url_of
from labkit.components.kubelet.runtime import Runtime, RuntimeFailure
from labkit.components.kubelet.shared import Shared

POST_START_SECONDS = 600.0  # the original waits for ever


class HookFailed(Exception):
    """The hook did not do what it should; the message is what it said."""


class Hooks:
    """The hooks of one pod's containers. Each runs in the background: what it leaves for plan() goes into `memory`."""

    def __init__(self, shared: Shared, memory: Memory, wake: Callable[[str], None]) -> None:
        self._shared = shared
        self._memory = memory
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()

    def post_start(self, pod: Pod, spec: Spec, container_id: str, address: str) -> None:
        """Begin the postStart hook of a container that was just started, if it has one."""
        if spec.lifecycle is not None and spec.lifecycle.post_start is not None:
            work = self._post_start(pod, spec, spec.lifecycle.post_start, container_id, address)
            self._spawn(work, f"postStart of {container_id[:12]}")

    def pre_stop(self, action: PreStop, pod: Pod, address: str) -> None:
        """Begin a preStop hook; plan() goes on when it has ended or taken its time."""
        self._shared.decided("call preStop hook", pod, action.cause, container=action.container.name)
        run = self._memory.hooks[action.container.id] = HookRun(time.time())
        self._spawn(self._pre_stop(action, pod, address, run), f"preStop of {action.container.id[:12]}")

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._shared.spawn(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post_start(self, pod: Pod, spec: Spec, hook: Handler, container_id: str, address: str) -> None:
        try:
            await call(self._shared.runtime, hook, spec, container_id, address, POST_START_SECONDS)
        except HookFailed as exc:
            wrong = f"failed to call event handler: {exc}"
            self._shared.event(pod, "failedSync", f"Error syncing pod, skipping: {wrong}")
            self._memory.unhealthy[container_id] = wrong
            self._wake("its postStart hook failed")

    async def _pre_stop(self, action: PreStop, pod: Pod, address: str, run: HookRun) -> None:
        container = action.container
        spec = next(spec for spec in pod.spec.containers if spec.name == container.name)
        try:
            await call(self._shared.runtime, action.hook, spec, container.id, address, action.grace)
        except HookFailed as exc:
            wrong = f'preStop hook for container "{container.name}" failed: {exc}'
            self._shared.event(pod, "failedPreStopHook", wrong, container.name)
        run.ended = time.time()
        self._wake("its preStop hook has ended")


async def call(runtime: Runtime, handler: Handler, spec: Spec, container_id: str, address: str, seconds: float) -> None:
    """Run a hook of a running container; `address` is its pod's. HookFailed when it fails or takes too long."""
    try:
        async with asyncio.timeout(seconds):
            if handler.exec is not None:
                await _command(runtime, container_id, handler.exec.command, seconds)
            elif handler.http_get is not None:
                await _get(url_of(handler.http_get, port_number(spec, handler.http_get.port), address))
            else:
                raise HookFailed("a hook is exec or httpGet")
    except TimeoutError as exc:
        raise HookFailed(f"not done within {seconds:g} s") from exc
    except ValueError as exc:  # a port of that name is not there
        raise HookFailed(str(exc)) from exc


async def _command(runtime: Runtime, container_id: str, command: list[str], seconds: float) -> None:
    try:
        result = await runtime.execute(container_id, command, seconds)
    except RuntimeFailure as exc:
        raise HookFailed(f"Error executing in Docker Container: {exc}") from exc
    if result.exit_code != 0:
        raise HookFailed(
            f"Error executing in Docker Container: {result.exit_code}: {result.output[:1024]}".rstrip(": ")
        )


async def _get(url: str) -> None:
    try:
        async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False, ssl=False):
            pass
    except (aiohttp.ClientError, OSError) as exc:
        raise HookFailed(f"Get {url}: {exc or type(exc).__name__}") from exc
