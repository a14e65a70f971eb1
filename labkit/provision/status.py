"""How the cluster is: one question to every machine at once, one to kube-apiserver."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from labkit.api.errors import ApiError
from labkit.api.types import Node
from labkit.client.rest import Client
from labkit.cluster import Cluster, Machine
from labkit.provision import admin, facts, own
from labkit.provision.errors import CommandFailed
from labkit.provision.facts import Facts, UnitFact
from labkit.provision.ssh import Ssh

REACH_SECONDS = 3
MANY_RESTARTS, SETTLED_SECONDS = 3, 60
"""A service that systemd had to restart so often, the last time so recently, is not well though it runs right now."""


@dataclass
class MachineStatus:
    """watched: the units that count; facts is None when the machine cannot be reached, and `trouble` says why; node:
    Ready, NotReady, ... or ''."""

    machine: Machine
    watched: list[str] = field(default_factory=list)
    facts: Facts | None = None
    trouble: str = ""
    node: str = ""

    def units(self) -> dict[str, UnitFact]:
        found = self.facts.units if self.facts else {}
        return {name: found.get(name, UnitFact("absent")) for name in self.watched}


@dataclass
class ClusterStatus:
    machines: list[MachineStatus] = field(default_factory=list)
    trouble: str = ""
    """Why kube-apiserver does not answer, if it does not."""

    def troubles(self, *, restless: bool = True) -> list[str]:
        """What is not well, one line each. restless: also what runs now, and was restarted often."""
        found = [f"kube-apiserver: {self.trouble}"] if self.trouble else []
        return found + [line for each in self.machines for line in _troubles(each, restless)]


def watched_units(cluster: Cluster, machine: Machine) -> list[str]:
    return own.services(cluster, machine) + (["docker"] if machine.is_agent else [])


def _troubles(status: MachineStatus, restless: bool) -> Iterable[str]:
    name = status.machine.name
    if status.facts is None:
        yield f"{name}: {status.trouble}"
        return
    for unit, fact in status.units().items():
        if fact.active != "active":
            yield f"{name}: {unit} is {fact.active}: labkit logs {unit} -m {name}"
        elif restless and is_restless(fact):
            yield f"{name}: {unit} was restarted {fact.restarts} times: labkit logs {unit} -m {name}"
    if status.machine.is_agent and status.node != "Ready":
        yield f"{name}: node is {status.node or 'not registered'}"


def is_restless(fact: UnitFact) -> bool:
    return fact.restarts >= MANY_RESTARTS and fact.seconds < SETTLED_SECONDS


def ask(cluster: Cluster) -> ClusterStatus:
    """Never raises for a machine that is down: that is part of the answer."""
    with ThreadPoolExecutor(len(cluster.machines) + 1) as pool:
        nodes = pool.submit(_nodes, cluster)
        status = ClusterStatus(list(pool.map(lambda machine: _machine(cluster, machine), cluster.machines)))
        found, status.trouble = nodes.result()
    for each in status.machines:
        each.node = found.get(each.machine.name, "")
    return status


def _machine(cluster: Cluster, machine: Machine) -> MachineStatus:
    watched = watched_units(cluster, machine)
    try:
        with Ssh(cluster, machine) as ssh:
            ssh.connect(wait=REACH_SECONDS)
            return MachineStatus(machine, watched, facts.gather(ssh, [], watched, wait_for_boot=False))
    except CommandFailed as exc:
        return MachineStatus(machine, watched, trouble=f"cannot be reached: {exc.tail or exc.what}")


def _nodes(cluster: Cluster) -> tuple[dict[str, str], str]:
    """{node: Ready | NotReady | Unknown}, and why there is no answer."""

    async def listed() -> dict[str, str]:
        async with admin.client(cluster) as client:
            return await _readiness(client)

    try:
        return asyncio.run(asyncio.wait_for(listed(), REACH_SECONDS + 2)), ""
    except (ApiError, OSError, TimeoutError) as exc:
        return {}, str(exc) or "does not answer"
    except CommandFailed as exc:
        return {}, exc.tail or exc.what


async def _readiness(client: Client) -> dict[str, str]:
    return {node.metadata.name: readiness(node) for node in (await client.list(Node)).items}


def readiness(node: Node) -> str:
    """What kubectl would print for the node."""
    ready = next((condition.status for condition in node.status.conditions if condition.type == "Ready"), "Unknown")
    return {"True": "Ready", "False": "NotReady"}.get(ready, "Unknown")
