"""`labkit upgrade`: a running cluster gets the labkit that is here now, component by component.

The master first, then agent by agent; on each machine one service after the other, only those whose code or files
differ, each back before the next goes (systemd waits for its readiness). A kubelet or a docker client that restarts
leaves the pods' containers alone, so that pods run through; that they did is looked at afterwards.

The machines' image stays what it was: what lies in it (docker, etcd, the kernel's tools) is as new as the machine.
"""

import asyncio
from dataclasses import dataclass, field

from labkit.api.types import Pod
from labkit.cluster import Cluster
from labkit.provision import admin, crew, plan
from labkit.provision.desired import Desired, desired
from labkit.provision.facts import Facts
from labkit.provision.report import HOST, Report
from labkit.provision.up import Outcome, finish, sources

Running = dict[str, dict[str, tuple[str, int]]]
"""Pod's uid and name -> container -> (its id, how often it was restarted)."""


@dataclass
class Upgrade:
    """actions: how many commands changed something; pods: that ran before; disturbed: those not run through."""

    actions: int = 0
    pods: int = 0
    disturbed: list[str] = field(default_factory=list)


def upgrade(cluster: Cluster, report: Report) -> Upgrade:
    """Raises CommandFailed, at the first component that does not come back: what comes after it is as it was."""
    before = asyncio.run(_running(cluster))
    report.step(HOST, "certificates and components")
    prepared = sources(cluster)
    done = Upgrade(pods=len(before))
    for machine in sorted(cluster.machines, key=lambda each: not each.is_master):
        report.step(HOST, f"upgrade {machine.name}")
        wanted = desired(prepared, machine)
        done.actions += crew.provision(cluster, [wanted], prepared.wheel, report, one_by_one)
    finish(cluster, report, Outcome(booted=False, actions=done.actions))
    done.disturbed = disturbed(before, asyncio.run(_running(cluster)))
    report.done(HOST)
    return done


def one_by_one(wanted: Desired, facts: Facts, parcel: plan.Parcel) -> list[plan.Action]:
    """plan.plan, with each service restarted in an action of its own."""
    services = {service.name: service for service in wanted.services}
    actions: list[plan.Action] = []
    for action in plan.plan(wanted, facts, parcel):
        starts = action.title.startswith("start ") and all(name in services for name in action.units)
        alone = [plan.start([services[name]], last=bool(action.needs)) for name in action.units] if starts else []
        actions += alone or [action]
    return actions


def disturbed(before: Running, after: Running) -> list[str]:
    """Pods that are still there with another container in place of one that ran."""
    return sorted(
        pod.partition(" ")[2] for pod, containers in before.items() if pod in after and after[pod] != containers
    )


async def _running(cluster: Cluster) -> Running:
    async with admin.client(cluster) as client:
        pods = (await client.list(Pod)).items
    return {
        f"{pod.metadata.uid} {pod.metadata.namespace}/{pod.metadata.name}": {
            status.name: (status.container_id, status.restart_count) for status in pod.status.container_statuses or []
        }
        for pod in pods
        if pod.status.phase == "Running"
    }
