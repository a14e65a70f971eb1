"""How containers end: hooks, signals, grace periods and deadlines, decided with literals and played on the twin."""

import time
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

import pytest

from labkit.api.types import Container as Spec
from labkit.api.types import ExecAction, Handler, HTTPGetAction, Pod, TCPSocketAction
from labkit.components.kubelet.actions import HookRun, Memory, PreStop, Signal
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.hooks import HookFailed, call
from labkit.components.kubelet.plan import deadline_of, plan
from labkit.testing.eventually import eventually
from tests.runtime_contract import config
from tests.unit.components.kubelet.one_node import OneNode, one_node
from tests.unit.components.kubelet.pods import container, pause, pod

HOOK = {"exec": {"command": ["echo", "bye"]}}
WITH_HOOK = {"name": "c", "image": "busybox", "lifecycle": {"preStop": HOOK}}
DELETED = {"deletionTimestamp": "2026-11-22T10:00:00Z", "deletionGracePeriodSeconds": 10}


class TestPreStop:
    @pytest.mark.parametrize(
        ("memory", "now", "does", "due"),
        [
            ({}, 1000.0, "hook", inf),
            ({"hooks": HookRun(1000.0)}, 1003.0, "", 1010.0),  # it runs: wait, at most the grace period
            ({"hooks": HookRun(1000.0, 1003.0)}, 1003.0, "SIGTERM", inf),
            ({"hooks": HookRun(1000.0)}, 1010.0, "SIGTERM", inf),  # it took all its time
            ({"hooks": HookRun(1000.0, 1003.0), "signalled": 1003.0}, 1004.0, "", 1010.0),  # 7 s are left
            ({"hooks": HookRun(1000.0), "signalled": 1010.0}, 1010.0, "", 1012.0),  # but never less than 2
            ({"hooks": HookRun(1000.0), "signalled": 1010.0}, 1012.0, "SIGKILL", inf),
        ],
    )
    def test_its_time_is_part_of_the_grace_period(
        self, memory: dict[str, object], now: float, does: str, due: float
    ) -> None:
        p = pod(WITH_HOOK, metadata=DELETED)
        app = container(p)
        known = Memory(**{name: {app.id: value} for name, value in memory.items()})  # type: ignore[arg-type]
        decided = plan(p, [pause(p), app], known, now)
        action = decided.actions[0] if decided.actions else None
        assert decided.due == due
        assert (action.signal if isinstance(action, Signal) else "hook" if isinstance(action, PreStop) else "") == does

    def test_no_hook_without_a_grace_period(self) -> None:
        """Neither when none is left, nor for a pod that was removed by force."""
        p = pod(WITH_HOOK, metadata=DELETED | {"deletionGracePeriodSeconds": 0})
        for of, signal in ((p, "SIGKILL"), (None, "SIGTERM")):
            (action,) = plan(of, [pause(p), container(p)], Memory(), 1000.0).actions
            assert isinstance(action, Signal)
            assert action.signal == signal


class TestCall:
    @pytest.fixture
    async def running(self) -> AsyncIterator[tuple[FakeRuntime, str]]:
        fake = FakeRuntime()
        made = await fake.create(config("busybox", "node", "uid"))
        await fake.start(made)
        yield fake, made
        await fake.close()

    @pytest.mark.parametrize(
        ("hook", "says"),
        [
            (Handler(exec=ExecAction(command=["echo"])), ""),
            (Handler(exec=ExecAction(command=["sh", "-c", "exit 3"])), "Error executing in Docker Container: 3"),
            (Handler(exec=ExecAction(command=["sleep", "9"])), "not done within 0.2 s"),
            (Handler(http_get=HTTPGetAction(port=1, path="/")), "Get http://127.0.0.1:1/: "),
            (Handler(http_get=HTTPGetAction(port="web", path="/")), 'couldn\'t find port "web"'),
            (Handler(tcp_socket=TCPSocketAction(port=1)), "a hook is exec or httpGet"),
        ],
    )
    async def test_what_it_says(self, running: tuple[FakeRuntime, str], hook: Handler, says: str) -> None:
        fake, made = running
        heard = ""
        try:
            await call(fake, hook, Spec(name="c"), made, "127.0.0.1", 0.2)
        except HookFailed as exc:
            heard = str(exc)
        assert heard.startswith(says)
        assert bool(heard) == bool(says)


async def test_a_hook_comes_before_the_signal(tmp_path: Path) -> None:
    async with one_node(FakeRuntime("n1"), tmp_path) as node:
        await node.create({"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "exit 4"]}}}})
        await node.status(lambda status: status.phase == "Running")
        await node.client.delete(Pod, "p", "default", grace_period_seconds=5)
        await node.gone()
        await eventually(lambda: told_in_order(node))


async def told_in_order(node: OneNode) -> bool:
    reasons = [reason for reason, path, _ in await node.events() if path == "spec.containers{c}"]
    return reasons[-2:] == ["failedPreStopHook", "killing"]


class TestDeadline:
    def test_when(self) -> None:
        assert deadline_of(pod()) == inf
        assert deadline_of(pod(activeDeadlineSeconds=5)) == inf  # not known here yet
        started = {"startTime": "1970-01-01T00:01:40Z"}
        p = pod(activeDeadlineSeconds=5, status=started)
        assert deadline_of(p) == 105.0
        assert plan(p, [pause(p), container(p)], Memory(), 101.0).due == 105.0
        assert deadline_of(pod(activeDeadlineSeconds=5, status=started | {"phase": "Succeeded"})) == inf


async def test_readiness_outlives_the_kubelet(tmp_path: Path) -> None:
    """A kubelet that comes back does not take its pods out of the endpoints until it has probed them."""
    async with one_node(FakeRuntime("n1"), tmp_path) as node:
        probe = {"exec": {"command": ["echo"]}, "periodSeconds": 1}
        await node.create({"readinessProbe": probe})
        await node.status(lambda status: bool(status.container_statuses) and status.container_statuses[0].ready)
        await node.end_kubelet()
        version = (await node.client.get(Pod, "p", "default")).metadata.resource_version
        node.start_kubelet()
        begun = time.monotonic()
        await eventually(lambda: any(worker.seen for worker in node.kubelet.workers.values()))
        await eventually(lambda: time.monotonic() > begun + 0.3)
        assert (await node.client.get(Pod, "p", "default")).metadata.resource_version == version
