"""The firewall rules of the userspace proxy: from service ports and the local ports opened for them to rules.

    PREROUTING (pods, other machines)     OUTPUT (this machine)        for whom
      1st   -> KUBE-PORTALS-CONTAINER       1st   -> KUBE-PORTALS-HOST     cluster IPs and public IPs
      last  -> KUBE-NODEPORT-CONTAINER      last  -> KUBE-NODEPORT-HOST    node ports, on any address of this machine

    -A KUBE-PORTALS-CONTAINER -d 10.0.0.11/32 -p tcp -m comment --comment "default/redis-master:" -m tcp --dport 6379
       -j REDIRECT --to-ports 34273                    the machine's own address on the interface the packet came in by
    -A KUBE-PORTALS-HOST ... -j DNAT --to-destination 10.245.1.12:34273      a packet made here came in by no interface

A rule is written exactly as iptables-save prints it: what is wanted and what is there can be compared as text.
Source: iptablesContainerPortalArgs and its three siblings in pkg/proxy/proxier.go of Kubernetes 0.18.
"""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from labkit.api.types import Service, ServicePort
from labkit.components.kube_proxy.balancer import port_name

PORTALS_CONTAINER = "KUBE-PORTALS-CONTAINER"
PORTALS_HOST = "KUBE-PORTALS-HOST"
NODEPORT_CONTAINER = "KUBE-NODEPORT-CONTAINER"
NODEPORT_HOST = "KUBE-NODEPORT-HOST"
CHAINS = (PORTALS_CONTAINER, PORTALS_HOST, NODEPORT_CONTAINER, NODEPORT_HOST)

_CLUSTER_IPS = "handle ClusterIPs; NOTE: this must be before the NodePort rules"
_NODE_PORTS = "handle service NodePorts; NOTE: this must be the last rule in the chain"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the nat table, and who made it."""

    chain: str
    spec: str
    made_by: Callable[..., "Rule"] = field(compare=False)
    service: Service | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"-A {self.chain} {self.spec}"


@dataclass(frozen=True, slots=True)
class Portal:
    """A service port for which a local port is open. node_port is 0 without one, or when it is not ours to take."""

    service: Service
    port: ServicePort
    local_port: int
    node_port: int = 0

    @property
    def name(self) -> str:
        return port_name(self.service, self.port)

    @property
    def protocol(self) -> str:
        return "udp" if self.port.protocol == "UDP" else "tcp"


def render(portals: Iterable[Portal], bind_address: str, node_ip: str) -> list[Rule]:
    """The rules of all four chains, by chain, in the order of the portals.

    bind_address: where the local ports listen, 0.0.0.0 for everywhere. node_ip: an address of this machine that is
    always there. The text for iptables is the rules' `str`, one a line.
    """
    wanted = list(portals)
    anywhere = bind_address == "0.0.0.0"  # noqa: S104, compared, not bound
    node = node_ip if anywhere else bind_address
    container = "" if anywhere else bind_address
    pairs = [(portal, ip) for portal in wanted for ip in portal_ips(portal.service)]
    with_node_port = [portal for portal in wanted if portal.node_port]
    return [
        *(container_portal(portal, ip, container) for portal, ip in pairs),
        *(host_portal(portal, ip, node) for portal, ip in pairs),
        *(container_node_port(portal, container) for portal in with_node_port),
        *(host_node_port(portal, node) for portal in with_node_port),
    ]


def container_portal(portal: Portal, ip: str, bind_address: str) -> Rule:
    """A pod, or another machine, connects to a cluster or public IP."""
    spec = f"-d {ip}/32 {_match(portal, portal.port.port)} -j {_to_proxy(portal, bind_address)}"
    return Rule(PORTALS_CONTAINER, spec, container_portal, portal.service)


def host_portal(portal: Portal, ip: str, node_ip: str) -> Rule:
    """A process of this machine connects to a cluster or public IP."""
    spec = f"-d {ip}/32 {_match(portal, portal.port.port)} -j {_to_proxy(portal, node_ip)}"
    return Rule(PORTALS_HOST, spec, host_portal, portal.service)


def container_node_port(portal: Portal, bind_address: str) -> Rule:
    """A pod, or another machine, connects to a node port on an address of this machine."""
    spec = f"{_match(portal, portal.node_port)} -j {_to_proxy(portal, bind_address)}"
    return Rule(NODEPORT_CONTAINER, spec, container_node_port, portal.service)


def host_node_port(portal: Portal, node_ip: str) -> Rule:
    """A process of this machine connects to a node port on one of its own addresses."""
    spec = f"{_match(portal, portal.node_port)} -j {_to_proxy(portal, node_ip)}"
    return Rule(NODEPORT_HOST, spec, host_node_port, portal.service)


def jump_to_portals(builtin: str, chain: str) -> Rule:
    """The way from a built-in chain to cluster and public IPs: its first rule."""
    return Rule(builtin, f'-m comment --comment "{_CLUSTER_IPS}" -j {chain}', jump_to_portals)


def jump_to_node_ports(builtin: str, chain: str) -> Rule:
    """The way from a built-in chain to node ports: its last rule, for packets to an address of this machine."""
    spec = f'-m addrtype --dst-type LOCAL -m comment --comment "{_NODE_PORTS}" -j {chain}'
    return Rule(builtin, spec, jump_to_node_ports)


FIRST = (jump_to_portals("PREROUTING", PORTALS_CONTAINER), jump_to_portals("OUTPUT", PORTALS_HOST))
LAST = (jump_to_node_ports("PREROUTING", NODEPORT_CONTAINER), jump_to_node_ports("OUTPUT", NODEPORT_HOST))


def portal_ips(service: Service) -> list[str]:
    """Every IPv4 address under which a service is reached: cluster IP, public IPs under all their names, ingress."""
    spec = service.spec
    ingress = [each.ip for each in service.status.load_balancer.ingress]
    every = [spec.cluster_ip, *spec.deprecated_public_ips, *spec.public_ips, *spec.external_ips, *ingress]
    return [ip for ip in dict.fromkeys(every) if _is_ipv4(ip)]


def _match(portal: Portal, port: int | None) -> str:
    protocol = portal.protocol
    return f'-p {protocol} -m comment --comment "{portal.name}" -m {protocol} --dport {port}'


def _to_proxy(portal: Portal, address: str) -> str:
    if address:
        return f"DNAT --to-destination {address}:{portal.local_port}"
    return f"REDIRECT --to-ports {portal.local_port}"


def _is_ipv4(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, text)  # a tenth of the price of ipaddress
    except (OSError, ValueError):
        return False
    return True
