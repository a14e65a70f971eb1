"""`labkit up`: from whatever there is to a cluster whose nodes are Ready.

    host        check the host, boot the machines (Vagrant) or prepare those that are there (ssh), make certificates
    machines    all at once, each: facts -> plan -> commands over SSH; agents wait where they need the master
    cluster     the servers of GlusterFS join, where there is storage; the Service kube-dns; every node Ready

A second run finds nothing to do; a run that was interrupted goes on where it stopped.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from labkit.api.errors import ApiError
from labkit.api.types import Node
from labkit.client.rest import Client
from labkit.cluster import Cluster
from labkit.cluster_rules import EXISTING
from labkit.provision import admin, crew, host, journal, kube_system, libvirt, plan, registry, storage, wheels
from labkit.provision.desired import desired
from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.pki import Pki
from labkit.provision.provider import machines
from labkit.provision.render import Sources
from labkit.provision.report import HOST, Report
from labkit.provision.ssh import Ssh
from labkit.provision.status import readiness

API_SECONDS = 60
READY_SECONDS = 90


@dataclass
class Outcome:
    """booted: whether a machine had to be started; actions: how many commands changed something on machines; repaired:
    objects of the API; nodes: those that are Ready."""

    booted: bool
    actions: int
    repaired: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)

    @property
    def nothing_to_do(self) -> bool:
        return not (self.booted or self.actions or self.repaired)


def up(cluster: Cluster, report: Report, decide: crew.Decide = plan.plan) -> Outcome:
    """The whole chain. decide: what to do to each machine.

    Raises CommandFailed: the machine, what failed, its last log lines.
    """
    try:
        outcome = _up(cluster, report, decide)
    except CommandFailed:
        with suppress(CommandFailed):  # what was done so far is ours, what somebody does from now on is not
            machines(cluster).settle()
        raise
    machines(cluster).settle()
    report.done(HOST)
    return outcome


def _up(cluster: Cluster, report: Report, decide: crew.Decide) -> Outcome:
    booted = boot(cluster, report)
    report.step(HOST, "certificates and components")
    prepared = sources(cluster)
    report.step(HOST, "provision the machines")
    wanted = [desired(prepared, machine) for machine in cluster.machines]
    outcome = Outcome(booted, crew.provision(cluster, wanted, prepared.wheel, report, decide))
    if cluster.storage:
        storage.join(cluster, report)
        storage.admit(cluster, report)
    finish(cluster, report, outcome)
    return outcome


def boot(cluster: Cluster, report: Report) -> bool:
    """The host's part: machines that run. Whether one had to be started."""
    report.step(HOST, "check the host")
    host.preflight(cluster, functools.partial(report.detail, HOST))
    report.step(HOST, "prepare the hosts" if cluster.provider == EXISTING else "boot the machines")
    return machines(cluster).up(on_line=functools.partial(report.detail, HOST))


def sources(cluster: Cluster) -> Sources:
    """Certificates, secrets and labkit's own wheel: made when missing or stale."""
    pki = Pki(cluster.state / "pki")
    pki.ensure(cluster)
    return Sources(cluster, pki, registry.credentials(cluster.state), wheels.build())


def finish(cluster: Cluster, report: Report, outcome: Outcome) -> None:
    """What kube-apiserver has to know, and every node Ready."""
    asyncio.run(_finish(cluster, report, outcome))


async def _finish(cluster: Cluster, report: Report, outcome: Outcome) -> None:
    async with admin.client(cluster) as client:
        report.step(HOST, "service kube-dns")
        outcome.repaired = await _when_it_answers(cluster, lambda: kube_system.ensure(client, cluster))
        if cluster.storage:
            outcome.repaired += await _when_it_answers(cluster, lambda: storage.ensure(client, cluster))
        outcome.repaired += await _when_it_answers(cluster, lambda: _forget_nodes(cluster, client))
        report.step(HOST, "wait until every node is Ready")
        outcome.nodes = await _nodes_ready(cluster, client, functools.partial(report.detail, HOST))


async def _when_it_answers(cluster: Cluster, ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """Ask kube-apiserver until it answers at all: a machine that was halted is still starting its services."""
    seconds = API_SECONDS * libvirt.patience(cluster)
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await ask()
        except ApiError as exc:
            if time.monotonic() > deadline:
                raise TimedOut(cluster.master.name, "an answer of kube-apiserver", seconds, tail=str(exc)) from exc
            await asyncio.sleep(0.3)


async def _forget_nodes(cluster: Cluster, client: Client) -> list[str]:
    """Nodes whose machine the cluster no longer has leave the API too."""
    gone = forsaken(cluster, (await client.list(Node)).items)
    for name in gone:
        await client.delete(Node, name)
    return [f"node {name} (its machine is gone)" for name in gone]


def forsaken(cluster: Cluster, nodes: list[Node]) -> list[str]:
    """Names of nodes whose address is of the machines' network and no machine's; those from elsewhere are not ours."""
    network, lived_in = ip_network(cluster.networks.machines), {machine.address for machine in cluster.machines}
    addresses = [(node.metadata.name, address.address) for node in nodes for address in node.status.addresses]
    ours = [(name, address) for name, address in addresses if _is_in(address, network)]
    return sorted({name for name, address in ours if address not in lived_in})


def _is_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address) in network
    except ValueError:  # a node may also give its name as an address
        return False


async def _nodes_ready(cluster: Cluster, client: Client, on_line: Callable[[str], None]) -> list[str]:
    """The names of the agents once all are Ready. Raises TimedOut with the last words of the first that is not."""
    wanted = {machine.name for machine in cluster.agents}
    seconds = READY_SECONDS * libvirt.patience(cluster)
    deadline = time.monotonic() + seconds
    while missing := wanted - await _ready(cluster, client):
        on_line(f"not yet: {', '.join(sorted(missing))}")
        if time.monotonic() > deadline:
            machine = cluster.machine(min(missing))
            with Ssh(cluster, machine) as ssh:
                words = ssh.run(journal.command("kubelet"), timeout=10, check=False).out
            raise TimedOut(machine.name, "node Ready", seconds, tail=words)
        await asyncio.sleep(0.2)
    return sorted(wanted)


async def _ready(cluster: Cluster, client: Client) -> set[str]:
    async def names() -> list[str]:
        return [node.metadata.name for node in (await client.list(Node)).items if readiness(node) == "Ready"]

    return set(await _when_it_answers(cluster, names))
