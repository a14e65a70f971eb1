"""Probes: asking a container whether it lives, and whether it wants to be asked by others.

    liveness    fails -> the container is ended, and started again by its restart policy
    readiness   fails -> the pod is not Ready, and its address leaves the endpoints of its services

A probe runs a command in the container (exec), asks it by HTTP (2xx and 3xx are fine) or only opens a connection
(tcpSocket). As in the original it is asked every 10 s, and a failure counts after three tries in a row; periodSeconds
and the thresholds, which came later, are honoured when they are given.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from labkit.api.types import Container as Spec
from labkit.api.types import HTTPGetAction, Pod, Probe
from labkit.components.kubelet.runtime import Container, Runtime, RuntimeFailure

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

PERIOD_SECONDS = 10.0
TRIES = 3
TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class Verdict:
    """text: what a failed probe said; asked is False when it could not be asked at all (docker is away)."""

    passed: bool
    text: str = ""
    asked: bool = True


class Probes:
    """The probes of one pod's running containers, a task each."""

    def __init__(self, runtime: Runtime, spawn: Spawn, hear: Callable[[str, Container, Verdict], None]) -> None:
        """`hear(kind, container, verdict)` is told of each failure and of each change."""
        self._runtime = runtime
        self._spawn = spawn
        self._hear = hear
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.unready: frozenset[str] = frozenset()  # ids of containers whose readiness probe has not passed

    def follow(self, pod: Pod, containers: Sequence[Container], address: str) -> None:
        """Probe what runs now, and nothing else."""
        specs = {spec.name: spec for spec in pod.spec.containers}
        known_ready = {status.container_id for status in pod.status.container_statuses if status.ready}
        running = {c.id: c for c in containers if c.running and c.name in specs}
        for kind, container_id in [asked for asked in self._tasks if asked[1] not in running]:
            self._tasks.pop((kind, container_id)).cancel()
        self.unready &= running.keys()
        for container in running.values():
            spec = specs[container.name]
            for kind, probe in (("Liveness", spec.liveness_probe), ("Readiness", spec.readiness_probe)):
                if probe is not None and (kind, container.id) not in self._tasks:
                    if kind == "Readiness" and f"docker://{container.id}" not in known_ready:
                        self.unready |= {container.id}  # what was ready before a restart of the kubelet stays so
                    self._begin(kind, probe, spec, container, address)

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _begin(self, kind: str, probe: Probe, spec: Spec, container: Container, address: str) -> None:
        def tell(verdict: Verdict) -> None:
            before = self.unready
            if kind == "Readiness":
                self.unready = before - {container.id} if verdict.passed else before | {container.id}
            if not verdict.passed or before != self.unready:
                self._hear(kind, container, verdict)

        watching = watch(self._runtime, spec, probe, container, address, tell)
        self._tasks[kind, container.id] = self._spawn(watching, f"{kind} probe of {container.id[:12]}")


async def watch(
    runtime: Runtime, spec: Spec, probe: Probe, container: Container, address: str, tell: Callable[[Verdict], None]
) -> None:
    """Probe one container until cancelled; `tell` hears each verdict that counts."""
    begin = container.started + (probe.initial_delay_seconds or 0)
    await asyncio.sleep(max(0.0, begin - time.time()))
    passes = failures = 0
    while True:
        verdict = await (_once if probe.failure_threshold else _thrice)(runtime, spec, probe, container, address)
        if verdict.asked:
            passes, failures = (passes + 1, 0) if verdict.passed else (0, failures + 1)
            if passes >= (probe.success_threshold or 1) or failures >= (probe.failure_threshold or 1):
                tell(verdict)
        await asyncio.sleep(probe.period_seconds or PERIOD_SECONDS)


async def _thrice(runtime: Runtime, spec: Spec, probe: Probe, container: Container, address: str) -> Verdict:
    for _ in range(TRIES):
        verdict = await _once(runtime, spec, probe, container, address)
        if verdict.passed or not verdict.asked:
            break
    return verdict


async def _once(runtime: Runtime, spec: Spec, probe: Probe, container: Container, address: str) -> Verdict:
    timeout = float(probe.timeout_seconds or TIMEOUT_SECONDS)
    try:
        if probe.exec is not None:
            result = await runtime.execute(container.id, probe.exec.command, timeout)
            return Verdict(result.exit_code == 0, result.output)
        if probe.http_get is not None:
            return await _http(url_of(probe.http_get, port_number(spec, probe.http_get.port), address), timeout)
        if probe.tcp_socket is not None:
            return await _tcp(address, port_number(spec, probe.tcp_socket.port), timeout)
    except TimeoutError:
        return Verdict(False, f"no answer within {timeout:g} s")
    except ValueError as exc:
        return Verdict(False, str(exc))
    except RuntimeFailure as exc:
        return Verdict(False, str(exc), asked=False)
    return Verdict(True)


def url_of(action: HTTPGetAction, port: int, address: str) -> str:
    """Where an httpGet goes: to the pod's address unless it names a host."""
    scheme = (action.scheme or "HTTP").lower()
    return f"{scheme}://{action.host or address}:{port}/{action.path.removeprefix('/')}"


async def _http(url: str, seconds: float) -> Verdict:
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False, ssl=False) as answer,
        ):
            return Verdict(200 <= answer.status < 400, f"HTTP probe failed with statuscode: {answer.status}")
    except (aiohttp.ClientError, OSError) as exc:
        return Verdict(False, f"Get {url}: {exc or type(exc).__name__}")


async def _tcp(address: str, port: int, seconds: float) -> Verdict:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except OSError as exc:
        return Verdict(False, str(exc))
    writer.close()
    return Verdict(True)


def port_number(spec: Spec, port: int | str | None) -> int:
    """The number of a port that may be given by its name; ValueError when the container has none of that name."""
    if isinstance(port, int):
        return port
    for candidate in spec.ports:
        if candidate.name == port and candidate.container_port:
            return candidate.container_port
    raise ValueError(f'couldn\'t find port "{port}" in container "{spec.name}"')
