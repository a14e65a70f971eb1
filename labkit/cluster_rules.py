"""What a cluster.json must keep to beyond its shape: one small rule per idea, each a generator of faults.

A fault is one line, `field.path: what is there, what was expected`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.cluster import Cluster, Machine

VIRTUAL = ("virtualbox", "libvirt", "parallels", "vmware_desktop", "hyperv")
"""Providers of virtual machines."""
EXISTING = "ssh"
"""The provider of hosts that are there already: it makes none."""
PROVIDERS = ("docker", *VIRTUAL, EXISTING)
TIMINGS = ("historic", "classroom")
STORAGE = ("", "glusterfs")
PROXY_MODES = ("userspace", "iptables", "nftables")
PROFILES = ("historic", "classroom")
ROLES = ("master", "agent")
CLUSTER_NAME = re.compile(r"[a-z][a-z0-9-]{0,9}")
MACHINE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")
DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
MIRROR = re.compile(r"https?://(?P<host>[a-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?/?")
ARCHIVE = re.compile(r"https?://[a-z0-9.-]+(:(?P<port>[0-9]{1,5}))?(/[A-Za-z0-9._~%+-]+)*/?")
HOST_NAME = "host.lab"  # what machines call the host, whose address is the first of their network

Network = ipaddress.IPv4Network


def validate(cluster: Cluster) -> list[str]:
    """Every fault of the cluster, empty when there is none.

    The rules about addresses are asked only when the ranges themselves can be read.
    """
    found = [fault for rule in _PLAIN_RULES for fault in rule(cluster)]
    if not list(_ranges_are_networks(cluster)):
        found += [fault for rule in _ADDRESS_RULES for fault in rule(cluster)]
    return found


def _names_and_words(cluster: Cluster) -> Iterator[str]:
    if not CLUSTER_NAME.fullmatch(cluster.name):
        yield f"name: {cluster.name!r}, expected a letter and up to 9 of a-z, 0-9 and '-'"
    if cluster.provider not in PROVIDERS:
        yield f"provider: {cluster.provider!r}, expected one of {', '.join(PROVIDERS)}"
    if cluster.timing not in TIMINGS:
        yield f"timing: {cluster.timing!r}, expected one of {', '.join(TIMINGS)}"
    if cluster.provider == EXISTING and cluster.storage:
        yield f"storage: {cluster.storage!r}, expected nothing: hosts that are there already keep no volumes of ours"
    if cluster.storage not in STORAGE:
        yield f"storage: {cluster.storage!r}, expected glusterfs or nothing"
    if cluster.proxy_mode not in PROXY_MODES:
        yield f"proxyMode: {cluster.proxy_mode!r}, expected one of {', '.join(PROXY_MODES)}"
    if not DOMAIN.fullmatch(cluster.dns.domain):
        yield f"dns.domain: {cluster.dns.domain!r}, expected a DNS name such as cluster.local"
    if cluster.profile not in PROFILES:
        yield f"profile: {cluster.profile!r}, expected one of {', '.join(PROFILES)}"


def _ports(cluster: Cluster) -> Iterator[str]:
    for field, port, lowest in (
        ("apiserver.port", cluster.apiserver.port, 1),
        ("registry.port", cluster.registry.port, 1),
        ("apiserver.hostPort", cluster.apiserver.host_port, 0),
    ):
        if not lowest <= port <= 65535:
            yield f"{field}: {port}, expected {lowest} to 65535"
    if cluster.apiserver.port == cluster.registry.port:
        yield f"registry.port: {cluster.registry.port} is apiserver.port too, expected two different ports"


def _archives(cluster: Cluster) -> Iterator[str]:
    """They end up in commands and messages, so no password is taken; what may be one is not repeated either."""
    for field, url, example in (
        ("debian", cluster.mirrors.debian, "http://deb.debian.org/debian"),
        ("pypi", cluster.mirrors.pypi, "https://pypi.org/simple"),
    ):
        found = ARCHIVE.fullmatch(url)
        if "@" in url:
            yield f"mirrors.{field}: has a user or a password in it, expected a URL without such as {example}"
        elif url and not (found and 0 < int(found["port"] or 80) < 65536):
            yield f"mirrors.{field}: {url!r}, expected nothing or a URL such as {example}"


def _machines(cluster: Cluster) -> Iterator[str]:
    seen: set[str] = set()
    for field, machine in _each(cluster):
        if not MACHINE_NAME.fullmatch(machine.name):
            yield f"{field}.name: {machine.name!r}, expected a letter, then a-z, 0-9 and '-', at most 32 in all"
        if machine.name in seen:
            yield f"{field}.name: {machine.name!r} is the name of an earlier machine, expected each name once"
        seen.add(machine.name)
        if machine.memory_mb < 256:
            yield f"{field}.memoryMB: {machine.memory_mb}, expected 256 or more"
        if machine.cpus < 1:
            yield f"{field}.cpus: {machine.cpus}, expected 1 or more"


def _roles(cluster: Cluster) -> Iterator[str]:
    for field, machine in _each(cluster):
        for index, role in enumerate(machine.roles):
            if role not in ROLES:
                yield f"{field}.roles[{index}]: {role!r}, expected one of {', '.join(ROLES)}"
        if not machine.roles or len(set(machine.roles)) < len(machine.roles):
            yield f"{field}.roles: {machine.roles}, expected each role at most once and at least one"
    masters = [machine.name for machine in cluster.machines if machine.is_master]
    if len(masters) != 1:
        yield f"machines: {', '.join(masters) or 'no machine'} has the role master, expected exactly one machine"


def _pod_subnets(cluster: Cluster) -> Iterator[str]:
    owner: dict[int, str] = {}
    for field, machine in _each(cluster):
        number = machine.pod_subnet
        if number in owner:
            yield f"{field}.podSubnet: {number} belongs to {owner[number]}, expected a number of its own"
        owner.setdefault(number, machine.name)
        if number >= cluster.next_pod_subnet:
            yield f"nextPodSubnet: {cluster.next_pod_subnet}, expected more than {machine.name}'s podSubnet {number}"


def _ranges_are_networks(cluster: Cluster) -> Iterator[str]:
    for field, cidr, longest in _ranges(cluster):
        try:
            network = Network(cidr)
        except ValueError as exc:
            yield f"networks.{field}: {exc}, expected an IPv4 range such as 10.245.1.0/24"
            continue
        if not 8 <= network.prefixlen <= longest:
            yield f"networks.{field}: {cidr}, expected a prefix of /8 to /{longest}"


def _ranges_are_apart(cluster: Cluster) -> Iterator[str]:
    ranges = [(field, Network(cidr)) for field, cidr, _ in _ranges(cluster)]
    for index, (field, network) in enumerate(ranges):
        for other_field, other in ranges[:index]:
            if network.overlaps(other):
                yield f"networks.{field}: {network} overlaps networks.{other_field} {other}, expected ranges apart"


def _addresses(cluster: Cluster) -> Iterator[str]:
    network = Network(cluster.networks.machines)
    reserved = {
        cluster.host_address: "the host",
        cluster.nobody_address: "the gateway that leads nowhere",
        str(network[0]): "the network itself",
        str(network[-1]): "broadcast",
    }
    owner = {} if cluster.provider == EXISTING else reserved  # their network is not ours to divide
    for field, machine in _each(cluster):
        if not _is_in(machine.address, network):
            yield f"{field}.address: {machine.address!r}, expected an address in networks.machines {network}"
        elif machine.address in owner:
            yield f"{field}.address: {machine.address} belongs to {owner[machine.address]}, expected one of its own"
        owner.setdefault(machine.address, machine.name)


def _pods_fit(cluster: Cluster) -> Iterator[str]:
    last = 2 ** (24 - Network(cluster.networks.pods).prefixlen) - 1
    for field, machine in _each(cluster):
        if not 1 <= machine.pod_subnet <= last:
            yield f"{field}.podSubnet: {machine.pod_subnet}, expected 1 to {last} (a /24 of {cluster.networks.pods})"


def _dns(cluster: Cluster) -> Iterator[str]:
    services = Network(cluster.networks.services)
    if not _is_in(cluster.dns.address, services):
        yield f"dns.address: {cluster.dns.address!r}, expected an address in networks.services {services}"
    elif cluster.dns.address in (str(services[0]), str(services[1]), str(services[-1])):
        yield f"dns.address: {cluster.dns.address} is taken: {services[1]} is the service kubernetes, expected another"
    for index, forwarder in enumerate(cluster.dns.forwarders):
        if wrong := _no_forwarder(cluster, forwarder):
            yield f"dns.forwarders[{index}]: {forwarder!r}{wrong}, expected an IPv4 address outside of the cluster"
        elif forwarder in cluster.dns.forwarders[:index]:
            yield f"dns.forwarders[{index}]: {forwarder} is listed before, expected each address once"


def _no_forwarder(cluster: Cluster, address: str) -> str:
    """Why kube-dns cannot ask that address: it would ask itself, or a service, which only leads back to it."""
    networks = cluster.networks
    if not _is_in(address, Network("0.0.0.0/0")):
        return " is no address"
    ip = ipaddress.IPv4Address(address)
    if ip.is_loopback or ip.is_multicast or ip.is_unspecified:
        return " is no other machine"
    if machine := next((each.name for each in cluster.machines if each.address == address), ""):
        return f" is {machine}"
    for field, cidr in (("services", networks.services), ("pods", networks.pods)):
        if _is_in(address, Network(cidr)):
            return f" is in networks.{field} {cidr}"
    return ""


def _mirror(cluster: Cluster) -> Iterator[str]:
    """Machines reach their own network and nothing else, so the mirror has to be on it: on the host, as a rule."""
    mirror, network = cluster.registry.mirror, Network(cluster.networks.machines)
    if not mirror:
        return
    expected = f"expected nothing or a URL without a path such as http://{cluster.host_address}:5001"
    found = MIRROR.fullmatch(mirror)
    if not found or not 0 < int(found["port"] or 80) < 65536:
        yield f"registry.mirror: {mirror!r}, {expected}"
    elif found["host"] != HOST_NAME and not _is_in(found["host"], network):
        yield f"registry.mirror: {mirror!r} is not on networks.machines {network}, where all ways end, {expected}"
    elif (found["host"], found["port"]) == (cluster.master.address, str(cluster.registry.port)):
        yield f"registry.mirror: {mirror!r} is the master's registry, which is asked already, {expected}"


def _each(cluster: Cluster) -> list[tuple[str, Machine]]:
    return [(f"machines[{index}]", machine) for index, machine in enumerate(cluster.machines)]


def _ranges(cluster: Cluster) -> tuple[tuple[str, str, int], ...]:
    """Field, range and the longest prefix that leaves room."""
    networks = cluster.networks
    return ("machines", networks.machines, 28), ("pods", networks.pods, 23), ("services", networks.services, 28)


def _is_in(address: str, network: Network) -> bool:
    try:
        return ipaddress.IPv4Address(address) in network
    except ValueError:
        return False


_PLAIN_RULES: tuple[Callable[[Cluster], Iterator[str]], ...] = (
    _names_and_words,
    _ports,
    _archives,
    _machines,
    _roles,
    _pod_subnets,
    _ranges_are_networks,
)
_ADDRESS_RULES: tuple[Callable[[Cluster], Iterator[str]], ...] = (
    _ranges_are_apart,
    _addresses,
    _pods_fit,
    _dns,
    _mirror,
)
