"""One agent more or less, while the others go on with what they do.

add      cluster.json, then `up`: the new machine is made; the others learn a route and a name, nothing restarts
remove   no new pods on it -> its pods go (their controllers make others elsewhere) -> cluster.json -> `up`:
         machine and node disappear
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from labkit import cluster as clusters
from labkit.api.errors import ApiError, NotFound
from labkit.api.types import Node, Pod
from labkit.client.rest import Client
from labkit.cluster import Cluster, ClusterError
from labkit.provision import admin, crew, plan
from labkit.provision.desired import Desired
from labkit.provision.facts import Facts
from labkit.provision.provider import machines
from labkit.provision.report import HOST, Report
from labkit.provision.up import Outcome, up

LEAVE_SECONDS = 45
"""So long may pods take to end (their own grace is 30 s); then they end with the machine."""


def add(cluster: Cluster, count: int, report: Report) -> Outcome:
    """So many more. Raises ClusterError when there is no address left, CommandFailed."""
    before = {machine.name for machine in cluster.machines}
    only_agents = [machine for machine in cluster.machines if machine.roles == ["agent"]]
    return up(clusters.init(cluster.name, len(only_agents) + count), report, others_learn_routes(before))


def join(cluster: Cluster, known: set[str], report: Report) -> Outcome:
    """The hosts that an inventory has more than before. known: the machines that there were. Raises CommandFailed."""
    return up(cluster, report, others_learn_routes(known))


def remove(cluster: Cluster, name: str, report: Report) -> Outcome:
    """That one. Raises ClusterError when it cannot be spared, CommandFailed."""
    check(cluster, name)
    provider = machines(cluster)
    states = provider.status()
    if states[cluster.master.name] == states[name] == "running":
        report.step(HOST, f"move the pods of {name} away")
        asyncio.run(_drain(cluster, name, lambda text: report.detail(HOST, text)))
    if states[name] != "not_created":
        provider.remove(name)
    cluster.machines.remove(cluster.machine(name))
    clusters.save(cluster)
    return up(cluster, report, others_learn_routes({machine.name for machine in cluster.machines}))


def others_learn_routes(others: set[str]) -> crew.Decide:
    """The others are not brought up to date with a newer labkit on this occasion: that would restart things there."""

    def decide(wanted: Desired, facts: Facts, parcel: plan.Parcel) -> list[plan.Action]:
        return list(plan.routes(wanted, facts)) if wanted.machine.name in others else plan.plan(wanted, facts, parcel)

    return decide


def check(cluster: Cluster, name: str) -> None:
    """Raises ClusterError: which agents could go instead."""
    kept = {machine.name for machine in cluster.storage_servers}
    spare = [machine.name for machine in cluster.machines if machine.roles == ["agent"] and machine.name not in kept]
    if name in spare:
        return
    known = [machine.name for machine in cluster.machines]
    why = "there is no such machine" if name not in known else "keeps volumes" if name in kept else "is the master"
    raise ClusterError(
        cluster.state / "cluster.json", [f"{name}: {why}; expected one of {', '.join(spare) or '(none)'}"]
    )


async def _drain(cluster: Cluster, name: str, on_line: Callable[[str], None]) -> None:
    async with admin.client(cluster) as client:
        with suppress(NotFound):
            await client.patch(Node, name, "", {"spec": {"unschedulable": True}})
        deadline = time.monotonic() + LEAVE_SECONDS
        told: set[str] = set()
        while time.monotonic() < deadline and (left := await _pods_on(client, name)):
            on_line(f"{len(left)} pods to go")
            for pod in left:
                if pod.metadata.uid not in told:
                    told.add(pod.metadata.uid)
                    with suppress(ApiError):
                        await client.delete(Pod, pod.metadata.name, pod.metadata.namespace)
            await asyncio.sleep(0.3)


async def _pods_on(client: Client, name: str) -> list[Pod]:
    return [pod for pod in (await client.list(Pod)).items if pod.spec.node_name == name]
