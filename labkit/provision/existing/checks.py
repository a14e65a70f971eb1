"""What forbids to make a host a machine: decided from its facts, before the first change.

`gather` asks the host once (look.py); `problems` is pure.
"""

import ipaddress
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from labkit.cluster import Cluster, Machine
from labkit.provision.problem import Problem
from labkit.provision.ssh import Ssh

LOOK = Path(__file__).with_name("look.py")
MEMORY_MB = {"master": 500, "agent": 300}
"""What must be free, by role; measured on machines that are containers: the master uses 250 MB, an agent 100."""
DISK_MB = 2048
OLDEST_PYTHON = (3, 11)
"""Debian 12's; Ubuntu has it since 24.04."""
SUPPORTED = {"debian", "ubuntu"}
EVERY = {"0.0.0.0", "*", "[::]"}  # noqa: S104  as ss prints it
PODS_INTERFACES = ("docker0", "labkit0")
"""docker0 gets the pods' range whatever it had, labkit0 is our own."""


class Range(msgspec.Struct, frozen=True):
    """An address with its network, or a route, and the interface that it belongs to."""

    owner: str
    cidr: str


class HostFacts(msgspec.Struct, kw_only=True):
    """distribution: ID and ID_LIKE of /etc/os-release; owner: "NAME IDENTITY" of the cluster that has this host.

    behind_router: other hosts of the inventory that are not on a network of this one. lived_in: folders of ours that
    have something in them. listeners: "tcp 127.0.0.53:53" -> program.
    """

    distribution: str = "debian"
    release: str = ""
    systemd: bool = True
    apt: bool = True
    root: bool = True
    python: tuple[int, int] = (3, 11)
    arch: str = "x86_64"
    memory_mb: int = msgspec.field(default=4096, name="memoryMB")
    disk_mb: int = msgspec.field(default=20480, name="diskMB")
    addresses: list[Range] = []
    routes: list[Range] = []
    resolvers: list[str] = []
    ssh_peer: str = msgspec.field(default="", name="sshPeer")
    behind_router: list[str] = msgspec.field(default_factory=list, name="behindRouter")
    containers: list[str] = []
    listeners: dict[str, str] = {}
    lived_in: list[str] = msgspec.field(default_factory=list, name="livedIn")
    owner: str = ""


def gather(ssh: Ssh) -> HostFacts:
    """Ask the host. Raises CommandFailed: Unreachable, or sudo that wants a password."""
    peers = [machine.address for machine in ssh.cluster.machines if machine.name != ssh.machine.name]
    command = f"python3 - {shlex.quote(json.dumps({'peers': peers}))}"
    answer = ssh.run(command, timeout=60, input=LOOK.read_bytes(), what="look at the host")
    return msgspec.json.decode(answer.out, type=HostFacts)


def problems(cluster: Cluster, machine: Machine, facts: HostFacts, identity: str, arch: str) -> list[Problem]:
    """Everything that stands in the way; empty when the host may be changed.

    identity: of this cluster; arch: what the pods' images are made for.
    """
    found = [*_system(facts, arch), *_owner(facts, identity), *_ranges(cluster, facts), *_network(machine, facts)]
    if facts.owner != identity:  # from here on: what would be ours on a host that we have
        found += [*_room(machine, facts), *_strangers(facts), *_ports(cluster, machine, facts)]
    return found


def _system(facts: HostFacts, arch: str) -> Iterator[Problem]:
    if not SUPPORTED & set(facts.distribution.split()) or not facts.apt:
        yield Problem(f"runs {facts.release or 'an unknown system'}", "expected Debian or Ubuntu, with apt-get")
    if not facts.systemd:
        yield Problem("systemd does not run there", "expected a host that was booted with systemd")
    if not facts.root:
        yield Problem("its user is not root and has no sudo", "expected root, or sudo without a password (NOPASSWD)")
    if facts.python < OLDEST_PYTHON:
        yield Problem(f"runs {facts.release} with Python {facts.python[0]}.{facts.python[1]}",
                      "expected Python 3.11 or newer: Debian 12, Ubuntu 24.04 or later")  # fmt: skip
    if facts.arch != arch:
        yield Problem(f"has the processor {facts.arch}", f"expected {arch}, which the pods' images are made for here")


def _owner(facts: HostFacts, identity: str) -> Iterator[Problem]:
    if facts.owner and facts.owner != identity:
        name = facts.owner.split()[0]
        yield Problem(f"is part of another labkit cluster ({name})",
                      f"`labkit destroy --cluster {name}` where that was made; if that computer is gone, on this host:"
                      " `sudo python3 /var/lib/labkit/host.pyz undo`")  # fmt: skip


def _ranges(cluster: Cluster, facts: HostFacts) -> Iterator[Problem]:
    """What the host talks to must not be hidden behind the cluster's own addresses."""
    theirs = [(f"its address {each.cidr} ({each.owner})", each.cidr) for each in facts.addresses
              if each.owner not in PODS_INTERFACES]  # fmt: skip
    theirs += [(f"its route to {each.cidr} ({each.owner})", each.cidr) for each in facts.routes
               if each.owner not in PODS_INTERFACES]  # fmt: skip
    theirs += [(f"its resolver {address}", address) for address in facts.resolvers]
    theirs += [("this computer, as the host sees it", facts.ssh_peer)] if "." in facts.ssh_peer else []
    file = cluster.state / "cluster.json"
    for field in ("services", "pods"):
        wanted = ipaddress.ip_network(getattr(cluster.networks, field))
        more = " and dns.address in it" if field == "services" else ""
        for what, cidr in theirs:
            if wanted.overlaps(ipaddress.ip_network(cidr, strict=False)):
                yield Problem(
                    f"{what} lies in networks.{field} {wanted}", f"give another networks.{field}{more} in {file}"
                )


def _network(machine: Machine, facts: HostFacts) -> Iterator[Problem]:
    if machine.address not in [each.cidr.partition("/")[0] for each in facts.addresses]:
        yield Problem(f"has no interface with the address {machine.address}",
                      "expected the address that the host itself has, not that of a router before it")  # fmt: skip
    if facts.behind_router:
        mend = "expected hosts of one network: a route to another machine's pods leads to that machine itself"
        yield Problem(f"reaches {', '.join(facts.behind_router)} through a router only", mend)


def _room(machine: Machine, facts: HostFacts) -> Iterator[Problem]:
    needed = sum(MEMORY_MB[role] for role in machine.roles)
    if facts.memory_mb < needed:
        yield Problem(f"has {facts.memory_mb} MB of memory free", f"expected {needed} MB for {'+'.join(machine.roles)}")
    if facts.disk_mb < DISK_MB:
        yield Problem(f"has {facts.disk_mb} MB of disk free under /var", f"expected {DISK_MB} MB")


def _strangers(facts: HostFacts) -> Iterator[Problem]:
    if facts.containers:
        some = ", ".join(facts.containers[:5]) + (" ..." if len(facts.containers) > 5 else "")
        mend = "expected none, since docker gets another network and restarts: remove them, or take another host"
        yield Problem(f"has docker containers that are not ours: {some}", mend)
    for path in facts.lived_in:
        yield Problem(
            f"{path} has something in it that is not ours", "expected no other Kubernetes, etcd or registry there"
        )


def _ports(cluster: Cluster, machine: Machine, facts: HostFacts) -> Iterator[Problem]:
    for wanted, purpose in ports(cluster, machine).items():
        for taken, program in facts.listeners.items():
            if _clash(wanted, taken):
                yield Problem(f"{taken} is taken by {program}", f"expected port {wanted} free for {purpose}")


def ports(cluster: Cluster, machine: Machine) -> dict[str, str]:
    """Where this machine's services listen: "tcp 127.0.0.1:2379" -> "etcd"."""
    found = {"tcp 0.0.0.0:10249": "kube-proxy"}
    if machine.is_agent:
        found |= {f"tcp {machine.address}:10250": "kubelet"}
    if machine.is_master:
        found |= {
            "tcp 127.0.0.1:2379": "etcd",
            "tcp 127.0.0.1:2380": "etcd",
            f"tcp 0.0.0.0:{cluster.apiserver.port}": "kube-apiserver",
            f"tcp {machine.address}:{cluster.registry.port}": "docker-registry",
            "tcp 127.0.0.1:5001": "docker-registry-push",
            "tcp 127.0.0.1:10251": "kube-scheduler",
            "tcp 127.0.0.1:10252": "kube-controller-manager",
            f"tcp {machine.address}:53": "kube-dns",
            f"udp {machine.address}:53": "kube-dns",
        }
    return found


def _clash(wanted: str, taken: str) -> bool:
    """Two listeners on the same port, of the same address or one of them of every address."""
    (address, port), (other, other_port) = wanted.rsplit(":", 1), taken.rsplit(":", 1)
    (protocol, ours), (other_protocol, theirs) = address.split(), other.split()
    return (protocol, port) == (other_protocol, other_port) and (ours == theirs or bool(EVERY & {ours, theirs}))
