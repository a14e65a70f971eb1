"""What the host is like, and what of that stands in the way of machines.

`look` gathers (programs, files, docker's answers); `problems` decides and touches nothing.
"""

import ipaddress
import json
import os
import shutil
from pathlib import Path

import msgspec

from labkit.cluster import Cluster, names, state_dir
from labkit.cluster_rules import EXISTING
from labkit.provision import boot, containers, hypervisor, image, kernel, libvirt, program
from labkit.provision.errors import CommandFailed
from labkit.provision.problem import Problem
from labkit.provision.process import run

DISK_NEEDED = 3 * 2**30
"""Bytes for machines and their pods' images; a machine that is a container starts at 60 MB."""
LIBVIRT_DISKS = "/var/lib/libvirt/images"
INSTALL = "`labkit doctor --fix` installs it, or names the step that does"
MEMORY_OF_A_MACHINE = 250
"""MB that a machine really uses; its memoryMB is a limit."""
MEMORY_OF_AN_EMULATOR = 200
"""MB beside what the machine sees, most of it for translated code."""


class Network(msgspec.Struct, frozen=True):
    """A range that the host already has to do with: whose it is, and whether it is this cluster's own."""

    owner: str
    cidr: str
    ours: bool = False


class HostFacts(msgspec.Struct, kw_only=True):
    """machines: how many are to be started; memory_needed: MB that they take, where that is not a guess.

    disk: path -> free bytes. busy_ports: taken port -> whose it should be.
    """

    name: str
    provider: str
    machines: int
    memory_needed: int = 0
    range: str
    root: bool
    systemd: bool
    programs: frozenset[str]
    docker_running: bool
    docker_denied: bool = False
    disk: dict[str, int] = {}
    memory_mb: int = 0
    missing_modules: list[str] = []
    networks: list[Network] = []
    busy_ports: dict[int, str] = {}
    hypervisor: list[Problem] = []

    def has(self, program: str) -> bool:
        return program in self.programs


def problems(facts: HostFacts) -> list[Problem]:
    """Everything that stands in the way, worst first; empty when the host is ready."""
    found = _programs(facts) + facts.hypervisor
    if facts.provider == "docker":
        found += docker_problems(facts)
        found += [
            Problem(f"the kernel has no {name}", f"as root: `modprobe {name}` (and a line {name} in /etc/modules)")
            for name in facts.missing_modules
        ]
    return found + _room(facts) + _addresses(facts)


def _programs(facts: HostFacts) -> list[Problem]:
    found = []
    if facts.provider != EXISTING and not facts.has("vagrant"):
        found.append(Problem("vagrant is not installed", INSTALL))
    return found


def docker_problems(facts: HostFacts) -> list[Problem]:
    """Why docker cannot be used; empty when it can."""
    if not facts.has("docker"):
        return [Problem("docker is not installed", INSTALL)]
    if facts.docker_running:
        return []
    if facts.docker_denied:
        mend = "`sudo usermod --append --groups docker $USER`, then log in again"
        return [Problem("docker runs, but this user may not talk to it", mend)]
    if not facts.has("dockerd"):
        return [Problem("docker does not answer, and there is no dockerd here", "`apt-get install docker.io`")]
    start = "`sudo systemctl start docker`" if facts.systemd else "as root: `dockerd >/var/log/dockerd.log 2>&1 &`"
    return [Problem("docker is not running", start)]


def _room(facts: HostFacts) -> list[Problem]:
    if not facts.machines or facts.provider == EXISTING:
        return []
    found = [
        Problem(f"{path} has {free / 2**30:.1f} GB free, {DISK_NEEDED / 2**30:.0f} GB are needed", "make room there")
        for path, free in facts.disk.items()
        if free < DISK_NEEDED
    ]
    needed = facts.memory_needed or facts.machines * MEMORY_OF_A_MACHINE
    if facts.memory_mb < needed:
        what = f"{facts.memory_mb} MB of memory are free, {facts.machines} machines need about {needed} MB"
        found.append(
            Problem(what, f"end other programs, or have fewer agents: `labkit init --cluster {facts.name} --agents 1`")
        )
    return found


def _addresses(facts: HostFacts) -> list[Problem]:
    if facts.provider == EXISTING:  # their network is there already, and this host may well be on it
        return []
    wanted = ipaddress.ip_network(facts.range)
    found = []
    for network in facts.networks:
        if not network.ours and wanted.overlaps(ipaddress.ip_network(network.cidr, strict=False)):
            what = f"the machines' range {facts.range} overlaps {network.cidr} of {network.owner}"
            file = state_dir(facts.name) / "cluster.json"
            mend = f"give another range in {file}: networks.machines, and each machine's address"
            found.append(Problem(what, mend))
        if network.ours and network.cidr != facts.range and network.owner.startswith("the docker network"):
            what = f"{network.owner} has the range {network.cidr}, the cluster's machines are in {facts.range}"
            found.append(Problem(what, f"`labkit destroy --cluster {facts.name}` removes it"))
    for port, machine in facts.busy_ports.items():
        what = f"port {port} of 127.0.0.1, which leads to {machine}, is taken by another program"
        found.append(Problem(what, f"`ss -ltnp sport = :{port}` says by which one: end it"))
    return found


def look(cluster: Cluster) -> HostFacts:
    """The facts, in about 0.2 s. Asks docker only when it answers."""
    facts = look_at_docker()
    ours = cluster.provider == "docker" and facts.docker_running
    return msgspec.structs.replace(
        facts,
        name=cluster.name,
        provider=cluster.provider,
        machines=_machines_to_start(cluster) if ours else len(cluster.machines),
        hypervisor=hypervisor.problems(cluster.provider),
        memory_needed=_memory_of_virtual_machines(cluster) if cluster.provider != "docker" else 0,
        range=cluster.networks.machines,
        disk=_disk(cluster, facts.docker_running),
        memory_mb=_memory_mb(),
        missing_modules=kernel.missing(),
        networks=_networks(cluster, ours),
        busy_ports=_busy_ports(cluster) if ours else {},
    )


def look_at_docker() -> HostFacts:
    """Only what is true without a cluster."""
    running, denied = _docker_state()
    return HostFacts(
        name="", provider="docker", machines=0, range="",
        root=os.geteuid() == 0,
        systemd=Path("/run/systemd/system").exists(),
        programs=frozenset(name for name in ("docker", "dockerd", "vagrant") if program.where(name)),
        docker_running=running, docker_denied=denied,
    )  # fmt: skip


def docker_answers() -> bool:
    return _docker_state()[0]


def _docker_state() -> tuple[bool, bool]:
    """Whether docker answers, and whether it is there but refuses us."""
    try:
        run("ask docker", ["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    except CommandFailed as exc:
        return False, "permission denied" in exc.tail
    return True, False


def _machines_to_start(cluster: Cluster) -> int:
    states = containers.states(cluster)
    return sum(states.get(machine.name) != "running" for machine in cluster.machines)


def _memory_of_virtual_machines(cluster: Cluster) -> int:
    """MB: a virtual machine takes what it is promised, and the program that runs it."""
    up = libvirt.running(cluster) if cluster.provider == "libvirt" else set()
    return sum(machine.memory_mb + MEMORY_OF_AN_EMULATOR for machine in cluster.machines if machine.name not in up)


def _disk(cluster: Cluster, docker: bool) -> dict[str, int]:
    """Of the cluster's own folder, of the cache and of where the provider keeps machines' disks."""
    paths = [image.cache_dir(), cluster.state]
    if cluster.provider == "libvirt":
        paths.append(Path(LIBVIRT_DISKS))
    if cluster.provider == "docker" and docker:
        root = Path(run("ask docker", ["docker", "info", "--format", "{{.DockerRootDir}}"], timeout=20).strip())
        paths += [root] if root.is_absolute() and root.exists() else []  # Docker Desktop's is in a virtual machine
    existing = {next(up for up in (path, *path.parents) if up.exists()) for path in paths}
    return {str(path): shutil.disk_usage(path).free for path in sorted(existing)}


def _memory_mb() -> int:
    """What can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def _networks(cluster: Cluster, docker: bool) -> list[Network]:
    """The ranges of docker's networks, other clusters and the host's interfaces. (A bridge left over is not ours.)"""
    found = _docker_networks(cluster) if docker else []
    for name in names():
        if name != cluster.name:
            other = json.loads((state_dir(name) / "cluster.json").read_bytes())
            found.append(Network(f"the cluster {name}", other["networks"]["machines"]))
    if not shutil.which("ip"):
        return found
    bridges = {cluster.bridge} if any(network.ours for network in found) else set()
    if cluster.provider == "libvirt":
        bridges.add(libvirt.bridge(cluster))
    for interface in json.loads(run("ask for addresses", ["ip", "-json", "-4", "address"], timeout=20)):
        name = interface["ifname"]
        for address in interface["addr_info"]:
            cidr = f"{address['local']}/{address['prefixlen']}"
            found.append(Network(f"the interface {name}", cidr, name in bridges))
    return found


def _docker_networks(cluster: Cluster) -> list[Network]:
    """Also of networks whose bridge is down, which no interface shows."""
    line = "{{.Name}}{{range .IPAM.Config}} {{.Subnet}}{{end}}"
    identities = run("docker network", ["docker", "network", "ls", "--quiet"], timeout=20).split()
    printed = run("docker network", ["docker", "network", "inspect", "--format", line, *identities], timeout=20)
    found = []
    for name, *subnets in map(str.split, printed.splitlines()):
        found += [
            Network(f"the docker network {name}", cidr, name == cluster.network) for cidr in subnets if "." in cidr
        ]
    return found


def _busy_ports(cluster: Cluster) -> dict[int, str]:
    """Ports of machines that do not run, though somebody listens on them. (A suspended machine keeps its own.)"""
    running = {name for name, state in containers.states(cluster).items() if state in ("running", "paused")}
    known = boot.ports(cluster)
    given = {port: name for name, port in known.ssh.items() if name not in running}
    if known.apiserver and cluster.master.name not in running:
        given[known.apiserver] = cluster.master.name
    return {port: name for port, name in given.items() if not boot.is_free(port)}
