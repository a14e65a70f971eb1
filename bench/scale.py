"""A hundred nodes on this machine: real etcd, kube-apiserver, kube-scheduler and kube-controller-manager as processes
of their own, over TLS, and hollow kubelets (components/kubelet/hollow.py) in one process more.

200 pods of one controller on 10 nodes; 3,000 of another on 100; when all events are told a quiet time, and single pods
killed. Everything shares the machine's cores, the hollow nodes included. Needs etcd.
"""

import asyncio
import contextlib
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.processes import cpu_seconds
from bench.rows import Row
from labkit.api.types import (
    Container,
    Node,
    ObjectMeta,
    Pod,
    PodSpec,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
)
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, etcd_server, free_port

FEW, MANY = (10, 200), (100, 3000)  # nodes, pods
QUIET_SECONDS = 20.0
KILLED = 20


class Seen:
    """When each pod was first seen, bound, and running."""

    def __init__(self, client: Client) -> None:
        self.pods = Informer(client, Pod)
        self.created: dict[str, float] = {}
        self.bound: dict[str, float] = {}
        self.running: dict[str, float] = {}
        self.deleted: dict[str, float] = {}
        self.pods.on_change(self._changed)

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        now = time.monotonic()
        if new is None:
            assert old is not None
            self.deleted[old.metadata.name] = now
            return
        name = new.metadata.name
        self.created.setdefault(name, now)
        if new.spec.node_name:
            self.bound.setdefault(name, now)
        if new.status.phase == "Running":
            self.running.setdefault(name, now)

    def of(self, prefix: str, what: dict[str, float]) -> list[float]:
        return [at for name, at in what.items() if name.startswith(prefix)]


def rows(say: object) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ca in ("ca", "etcd-ca"):
            (folder / ca).mkdir()
        authority = Authority(folder / "ca")
        with (
            etcd_server(folder, Authority(folder / "etcd-ca")) as etcd,
            api_server(folder, etcd, authority) as server,
            component(server, "kube_scheduler", folder) as scheduler,
            component(server, "kube_controller_manager", folder) as manager,
        ):
            return asyncio.run(_measure(server, folder, scheduler, manager))


@contextlib.contextmanager
def component(server: ApiServer, package: str, folder: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    module = package if "." in package else f"labkit.components.{package}"
    port = () if "." in package else (f"--port={free_port()}",)
    config = server.kubeconfig("admin", "system:masters")
    command = [sys.executable, "-m", module, f"--kubeconfig={config}", *port, *flags]
    with (folder / f"{package}.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


async def _measure(
    server: ApiServer, folder: Path, scheduler: subprocess.Popen[bytes], manager: subprocess.Popen[bytes]
) -> list[Row]:
    found: list[Row] = []
    async with Client(server.url, server.context("admin", "system:masters")) as client:
        seen = Seen(client)
        watching = asyncio.create_task(seen.pods.run())
        with hollow(server, folder, FEW[0], "few"):
            await _ready(client, FEW[0])
            took = await _started(client, seen, "few", *FEW)
            found.append(row("RC of 200 on 10 nodes: all bound", max(seen.of("few-", seen.bound)) - took, "s", 2,
                             {"v0.18.2": 18.5, "v1.21": 8.9}))  # fmt: skip
            await _all_gone(client, "few")
        with hollow(server, folder, MANY[0], "many") as nodes:
            await _ready(client, MANY[0])
            took = await _started(client, seen, "many", *MANY)
            created, bound, running = (seen.of("many-", each) for each in (seen.created, seen.bound, seen.running))
            found.append(row("RC of 3,000 on 100 nodes: all Running", max(running) - took, "s", 40))
            found.append(row("pods bound per second", len(bound) / (max(bound) - min(created)), "1/s", 150,
                             {"2015": 51}, better="higher"))  # fmt: skip
            waits = sorted(seen.bound[name] - seen.created[name] for name in seen.bound if name.startswith("many-"))
            found.append(row("a pod seen to it seen bound, p50", 1e3 * waits[len(waits) // 2], "ms"))
            decisions = _decisions(folder / "kube_scheduler.log")
            found.append(row("one decision of kube-scheduler, p99", decisions, "ms", 100))
            for name, process in (("scheduler", scheduler), ("controller-manager", manager)):
                found.append(row(f"memory of kube-{name}", memory(process.pid), "MB", 120))
            found.append(row("memory of a hollow node", memory(nodes.pid) / MANY[0], "MB"))
            assert server.process is not None
            told = time.monotonic()
            await _settled(client)
            found.append(row("after that until the last event is told", time.monotonic() - told, "s"))
            before = {p.pid: cpu_seconds(p.pid) for p in (server.process, scheduler, manager, nodes)}
            await asyncio.sleep(QUIET_SECONDS)
            busy = {pid: (cpu_seconds(pid) - spent) / QUIET_SECONDS * 100 for pid, spent in before.items()}
            without = sum(busy.values()) - busy[nodes.pid]
            found.append(row("steady state, of a core", without, "%", 30, {"hollow nodes": busy[nodes.pid]}))
            found.append(row("killed pod to its replacement seen, p50", await _replaced(client, seen), "ms", 100))
            watching.cancel()
    return found


@contextlib.contextmanager
def hollow(server: ApiServer, folder: Path, nodes: int, prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    with component(
        server,
        "labkit.components.kubelet.hollow",
        folder,
        f"--nodes={nodes}",
        f"--prefix={prefix}",
        "--start-time=100ms",
    ) as process:
        yield process


def row(
    name: str, value: float, unit: str, goal: float | None = None, beside: dict[str, float] | None = None, *,
    better: str = "lower",
) -> Row:  # fmt: skip
    return Row(name=name, value=value, unit=unit, better=better, goal=goal, beside=beside or {})  # type: ignore[arg-type]


async def _ready(client: Client, count: int) -> None:
    async def ready() -> bool:
        nodes = (await client.list(Node)).items
        well = [{c.type: c.status for c in node.status.conditions}.get("Ready") for node in nodes]
        return well.count("True") == count == len(nodes)

    await eventually(ready, 60, every=0.3, expect=f"{count} nodes Ready")


async def _started(client: Client, seen: Seen, name: str, nodes: int, pods: int) -> float:
    """The controller created when; returns as soon as all of its pods run."""
    spec = PodSpec(containers=[Container(name="c", image="redis")], termination_grace_period_seconds=0)
    template = PodTemplateSpec(metadata=ObjectMeta(labels={"app": name}), spec=spec)
    asked = ReplicationControllerSpec(replicas=pods, selector={"app": name}, template=template)
    began = time.monotonic()
    await client.create(ReplicationController(metadata=ObjectMeta(name=name, namespace="default"), spec=asked))

    async def all_run() -> bool:
        return len(seen.of(f"{name}-", seen.running)) >= pods

    await eventually(all_run, 150, every=0.05, expect=f"{pods} pods of {name} on {nodes} nodes Running")
    return began


async def _settled(client: Client) -> None:
    """Until no event comes any more: components tell them at a pace, long after what they are about."""

    async def count() -> int:
        answer = msgspec.json.decode(await client.raw("GET", "/api/v1/events", params={"limit": "1"}))
        return int(answer["metadata"].get("remainingItemCount", 0))

    seen = [-1]

    async def no_more() -> bool:
        seen.append(await count())
        return seen[-1] == seen[-2]

    await eventually(no_more, 600, every=4, expect="the last event told")


async def _all_gone(client: Client, name: str) -> None:
    rc = await client.get(ReplicationController, name, "default")
    rc.spec.replicas = 0
    await client.update(rc)

    async def gone() -> bool:
        return not (await client.list(Pod, "default")).items

    await eventually(gone, 60, every=0.3, expect="no pod left")


async def _replaced(client: Client, seen: Seen) -> float:
    """Median, in ms, from a pod's deletion to the next pod of its controller."""
    took = []
    for name in sorted(name for name in seen.running if name.startswith("many-"))[:KILLED]:
        there = set(seen.created)
        began = time.monotonic()
        await client.delete(Pod, name, "default", grace_period_seconds=0)

        async def another(before: set[str] = there) -> float:
            fresh = [at for pod, at in seen.created.items() if pod not in before]
            return min(fresh) if fresh else 0.0

        took.append(await eventually(another, 20, every=0.002, expect="a replacement") - began)
    return 1e3 * statistics.median(took)


def _decisions(log: Path) -> float:
    """p99 in ms of the time from one assignment to the next, while pods wait: a decision and its share of the rest."""
    times: list[float] = [
        line["time"] for line in map(msgspec.json.decode, log.read_bytes().splitlines())
        if line.get("decision") == "assigned"
    ]  # fmt: skip
    gaps = sorted((after - before) / 1e3 for before, after in itertools.pairwise(times) if after - before < 1e6)
    return gaps[len(gaps) * 99 // 100]


def memory(pid: int) -> float:
    """MB that are the process's own, or shared in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
