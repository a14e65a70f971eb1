"""The kubelet on this machine's docker, a process with its flags: how fast pods come up and come back, what it costs.

30 pods of one container that sleeps, images present, from a burst; then each is killed once; then a quiet minute.
Needs root and docker. The API server is on memory, in this process.
"""

import asyncio
import io
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.processes import cpu_seconds
from bench.rows import Row
from labkit.api.types import Pod
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.components.kubelet.runtime import NODE
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.node.pod_images import BUSYBOX, pod_images
from tests.node.real_etcd import Authority
from tests.node.test_kubelet import kubelet_process, ready
from tests.node.test_runtime_contract import remove_containers_of

PODS = 30
QUIET_SECONDS = 60.0


class Bench:
    """When the pods of one node were first seen Running, and started again, by name."""

    def __init__(self, client: Client, node: str) -> None:
        self.client = client
        self.node = node
        self.pods = Informer(client, Pod, field_selector=f"spec.nodeName={node}")
        self.running: dict[str, float] = {}
        self.restarted: dict[str, float] = {}
        self.pods.on_change(self._seen)

    def _seen(self, old: Pod | None, new: Pod | None) -> None:
        if new is None or new.status.phase != "Running":
            return
        name, now = new.metadata.name, time.monotonic()
        (told,) = new.status.container_statuses
        if told.state.running is not None:
            self.running.setdefault(name, now)
            if told.restart_count:
                self.restarted.setdefault(name, now)

    async def start(self, name: str) -> float:
        """Accepted when."""
        command = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 5; done"]
        containers = [{"name": "c", "image": BUSYBOX, "command": command}]
        spec = {"nodeName": self.node, "containers": containers, "terminationGracePeriodSeconds": 1}
        await self.client.create(
            msgspec.convert({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, Pod)
        )
        return time.monotonic()

    async def until(self, seen: dict[str, float], names: list[str]) -> None:
        await eventually(lambda: all(name in seen for name in names), within=180, every=0.05)


def rows(say: Callable[[str], None]) -> list[Row]:
    with pod_images():
        return asyncio.run(_rows(say))


async def _rows(say: Callable[[str], None]) -> list[Row]:
    node = f"kubelet-bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "pki").mkdir()
        authority = Authority(root / "pki")
        try:
            async with (
                await start_in_process(trace=Tracer("kube-apiserver", out=io.StringIO())) as server,
                Client(server.base_url) as client,
                kubelet_process(node, root, authority, server.base_url) as (process, _),
            ):
                return await _measure(Bench(client, node), process.pid, say)
        finally:
            remove_containers_of(node)


async def _measure(bench: Bench, pid: int, say: Callable[[str], None]) -> list[Row]:
    async with asyncio.timeout(30):
        while not await ready(bench.client, bench.node):  # noqa: ASYNC110 - the API server is asked
            await asyncio.sleep(0.1)
    task = asyncio.create_task(bench.pods.run())
    await bench.pods.synced()
    try:
        say("one after the other")
        alone = await _one_by_one(bench)
        say(f"a burst of {PODS}")
        burst = await _burst(bench)
        say("killed and restarted")
        back = await _killed(bench)
        say("quiet")
        memory, share = await _quiet(pid)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    full = f"{PODS} pods on the node"
    return [
        Row(name="accepted to Running, p50", value=_at(alone, 50), unit="s", better="lower", goal=1.0, note=full),
        Row(name="accepted to Running, p99", value=_at(alone, 99), unit="s", better="lower", goal=3.0,
            beside={"Kubernetes 1.0": 4.3}),
        Row(name=f"burst of {PODS}, all Running", value=burst, unit="s", better="lower", goal=20.0),
        Row(name="death to restart, p99", value=_at(back, 99), unit="s", better="lower", goal=1.0,
            note="first restart, docker kill to the status Running, the time of docker kill included"),
        Row(name="resident memory, idle", value=memory, unit="MB", better="lower", goal=60.0, note=full),
        Row(name="processor, idle", value=share * 100, unit="% of a core", better="lower", goal=1.0, note=full),
    ]  # fmt: skip


async def _one_by_one(bench: Bench) -> list[float]:
    """Beside the pods of before: each is accepted when the last one runs."""
    found = []
    for number in range(PODS):
        name = f"alone-{number}"
        began = await bench.start(name)
        await bench.until(bench.running, [name])
        found.append(bench.running[name] - began)
    for number in range(PODS):
        await bench.client.delete(Pod, f"alone-{number}", "default", grace_period_seconds=0)
    await eventually(lambda: not _left(bench), within=120, every=0.5)
    return found


async def _burst(bench: Bench) -> float:
    names = [f"burst-{number}" for number in range(PODS)]
    began = time.monotonic()
    await asyncio.gather(*(bench.start(name) for name in names))
    await bench.until(bench.running, names)
    return max(bench.running[name] for name in names) - began


async def _killed(bench: Bench) -> list[float]:
    found = []
    for number in range(PODS):
        name = f"burst-{number}"
        (told,) = bench.pods.store[f"default/{name}"].status.container_statuses
        began = time.monotonic()
        kill = ["docker", "kill", told.container_id.removeprefix("docker://")]
        await asyncio.to_thread(subprocess.run, kill, capture_output=True, timeout=30, check=True)
        await bench.until(bench.restarted, [name])
        found.append(bench.restarted[name] - began)
    return found


async def _quiet(pid: int) -> tuple[float, float]:
    """Megabytes, and the part of a core."""
    await asyncio.sleep(5)
    before = cpu_seconds(pid)
    await asyncio.sleep(QUIET_SECONDS)
    share = (cpu_seconds(pid) - before) / QUIET_SECONDS
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, share


def _left(bench: Bench) -> bool:
    """Whether anything is left of the pods of before."""
    known = any(name.startswith("default/alone") for name in bench.pods.store)
    command = ["docker", "ps", "-q", "--filter", f"label={NODE}={bench.node}"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return known or bool(listed.strip())


def _at(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return (
        statistics.median(ordered) if percent == 50 else ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
    )
