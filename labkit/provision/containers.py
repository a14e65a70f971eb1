"""What docker knows of machines that are containers: asked by label, so that nothing of ours is overlooked.

docker's word    exited, dead   created       (no container)   anything else
ours             stopped        half_made     not_created      as it is: running, paused, restarting
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from labkit.cluster import Cluster
from labkit.provision.process import run

EXISTS = ("running", "stopped", "paused", "restarting")
Described = dict[str, dict[str, Any]]
"""Machine -> its container as `docker inspect` prints it."""
_WORDS = {"exited": "stopped", "dead": "stopped", "created": "half_made"}


def states(cluster: Cluster) -> dict[str, str]:
    """Machine -> state, for containers that exist."""
    return {name: _WORDS.get(word, word) for name, _, word in _list(cluster)}


def ids(cluster: Cluster) -> dict[str, str]:
    """Machine -> full id of its container."""
    return {name: identity for name, identity, word in _list(cluster) if word != "created"}


def described(cluster: Cluster) -> Described:
    """All that docker knows of them, running or not."""
    found = ids(cluster)
    return dict(zip(found, json.loads(_docker("inspect", *found.values())), strict=True)) if found else {}


def published_ports(found: Described) -> dict[str, dict[int, int]]:
    """Machine -> {its port: port of 127.0.0.1}, as the containers were made."""
    return {name: _bindings(one) for name, one in found.items()}


def resize(cluster: Cluster, found: Described, say: Callable[[str], None]) -> bool:
    """Give each machine the memory that cluster.json says, while it runs; whether one had another limit."""
    limits = {name: one["HostConfig"].get("Memory", 0) for name, one in found.items()}
    # No limit: a kernel without memory control groups gives none.
    changed = [each for each in cluster.machines if limits.get(each.name, 0) not in (0, each.memory_mb << 20)]
    for machine in changed:
        say(f"{machine.name} may use {machine.memory_mb} MB of memory from now on")
        # Twice that with swap, as docker itself decides when it makes one.
        sizes = ("--memory", f"{machine.memory_mb}m", "--memory-swap", f"{2 * machine.memory_mb}m")
        _docker("update", *sizes, cluster.container(machine))
    return bool(changed)


def stop(cluster: Cluster, machines: Iterable[str]) -> None:
    """Shut down at once; a machine that does not within 20 s is killed."""
    _docker("stop", "--time", "20", *(f"{cluster.name}-{name}" for name in machines), timeout=60)


def pause(cluster: Cluster, machines: Iterable[str]) -> None:
    """Freeze every process of theirs, the master's first: agents that go on alone would find nobody."""
    _docker(
        "pause", *(f"{cluster.name}-{name}" for name in sorted(machines, key=lambda name: name != cluster.master.name))
    )


def unpause(cluster: Cluster, machines: Iterable[str]) -> None:
    """The master's last: when it looks, its nodes have something to report."""
    _docker(
        "unpause",
        *(f"{cluster.name}-{name}" for name in sorted(machines, key=lambda name: name == cluster.master.name)),
    )


def remove_surplus(cluster: Cluster, say: Callable[[str], None]) -> bool:
    """Remove machines that cluster.json no longer has; returns whether there were any."""
    wanted = {machine.name for machine in cluster.machines}
    surplus = {name: identity for name, identity, _ in _list(cluster) if name not in wanted}
    for name, identity in surplus.items():
        say(f"removing {name}, which the cluster no longer has")
        _docker("rm", "--force", "--volumes", identity)
    return bool(surplus)


def remove_half_made(cluster: Cluster) -> None:
    """Containers that were created and never started: an `up` was cut off there, or docker could not start them."""
    if found := [identity for _, identity, word in _list(cluster) if word == "created"]:
        _docker("rm", "--force", "--volumes", *found)


def remove_all(cluster: Cluster) -> None:
    """Every container of the cluster with its volumes, then its network and bridge."""
    if found := [identity for _, identity, _ in _list(cluster)]:
        _docker("rm", "--force", "--volumes", *found)
    if networks := _docker("network", "ls", "--quiet", "--filter", f"label={cluster.label}").split():
        _docker("network", "rm", *networks)


def _list(cluster: Cluster) -> list[tuple[str, str, str]]:
    """Machine, container id and docker's word for the state; in the order of the machines' names."""
    line = '{{.Label "labkit.machine"}} {{.ID}} {{.State}}'
    printed = _docker("ps", "--all", "--no-trunc", "--filter", f"label={cluster.label}", "--format", line)
    rows = [row.split() for row in printed.splitlines()]
    return sorted((row[0], row[1], row[2]) for row in rows if len(row) == 3)


def _bindings(described: dict[str, Any]) -> dict[int, int]:
    bound = described["HostConfig"]["PortBindings"] or {}
    return {int(port.split("/")[0]): int(hosts[0]["HostPort"]) for port, hosts in bound.items() if hosts}


def _docker(*arguments: str, timeout: float = 60) -> str:
    return run(f"docker {arguments[0]}", ["docker", *arguments], timeout=timeout)
