"""A hundred nodes on this machine: real etcd, kube-apiserver, kube-scheduler and kube-controller-manager as processes
of their own, over TLS, and two processes of hollow ones: kubelets, and kube-proxies with SERVICES services.

200 pods of one controller on 10 nodes; 3,000 of another on 100; when all events are told a quiet time, and single pods
killed. Everything shares the machine's cores, the hollow nodes included. Needs etcd.
"""

import asyncio
import itertools
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec

from bench.processes import cpu_seconds
from bench.rows import Row
from bench.scale import latencies
from bench.scale.world import Seen, component, hollow, memory, proxies, services
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
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, etcd_server

FEW, MANY = (10, 200), (100, 3000)  # nodes, pods
SERVICES = 10
QUIET_SECONDS = 20.0
KILLED = 20


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
        with hollow(server, folder, MANY[0], "many") as nodes, proxies(server, folder, MANY[0]) as relays:
            await _ready(client, MANY[0])
            await services(client, folder, SERVICES, MANY[0])
            before = await latencies.look(client)
            took = await _started(client, seen, "many", *MANY)
            created, bound, running = (seen.of("many-", each) for each in (seen.created, seen.bound, seen.running))
            found.append(row("RC of 3,000 on 100 nodes: all Running", max(running) - took, "s", 40))
            found.append(row("pods bound per second", len(bound) / (max(bound) - min(created)), "1/s", 150,
                             {"2015": 51}, better="higher"))  # fmt: skip
            waits = sorted(seen.bound[name] - seen.created[name] for name in seen.bound if name.startswith("many-"))
            found.append(row("a pod seen to it seen bound, p50", 1e3 * waits[len(waits) // 2], "ms"))
            decisions = _decisions(folder / "kube_scheduler.log")
            found.append(row("one decision of kube-scheduler, p99", decisions, "ms", 100))
            p99 = latencies.quantile(before, await latencies.look(client), 0.99)
            found.append(row("an answer of kube-apiserver meanwhile, p99", p99, "ms", 100))
            for name, process in (("scheduler", scheduler), ("controller-manager", manager)):
                found.append(row(f"memory of kube-{name}", memory(process.pid), "MB", 120))
            found.append(row("memory of a hollow node", (memory(nodes.pid) + memory(relays.pid)) / MANY[0], "MB"))
            assert server.process is not None
            told = time.monotonic()
            await _settled(client)
            found.append(row("after that until the last event is told", time.monotonic() - told, "s"))
            ours, stand_ins = (server.process, scheduler, manager), (nodes, relays)
            spent = {each.pid: cpu_seconds(each.pid) for each in (*ours, *stand_ins)}
            await asyncio.sleep(QUIET_SECONDS)
            busy = {pid: (cpu_seconds(pid) - before) / QUIET_SECONDS * 100 for pid, before in spent.items()}
            beside = {"hollow nodes": sum(busy[each.pid] for each in stand_ins)}
            found.append(row("steady state, of a core", sum(busy[each.pid] for each in ours), "%", 30, beside))
            found.append(row("killed pod to its replacement seen, p50", await _replaced(client, seen), "ms", 100))
            watching.cancel()
    return found


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
