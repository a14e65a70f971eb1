"""What a mode that leaves the carrying to the kernel must know of a service port: where it is, who serves it.

    Service default/web, ports http, admin  +  Endpoints default/web   -->   default/web:http   10.0.0.12:80
                                                                             default/web:admin  10.0.0.12:8080

`Claims` finds addresses that two services want: the first one keeps it, because a map of nftables has no place for
two, and two equal rules of iptables would hide the mistake.
"""

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field

from labkit.api.services import cluster_ip
from labkit.api.types import Endpoints, Service, ServicePort
from labkit.components.kube_proxy.balancer import Address, addresses, port_name
from labkit.components.kube_proxy.iptables import portal_ips


@dataclass(frozen=True, slots=True)
class ServedPort:
    """One port of a service that has a cluster IP."""

    name: str  # default/web:http, its comment in every rule
    protocol: str  # tcp or udp
    cluster_ip: str
    port: int
    external_ips: tuple[str, ...] = ()  # public, external and ingress addresses
    node_port: int = 0
    sticky: bool = False  # session affinity ClientIP
    endpoints: tuple[Address, ...] = ()
    service: Service | None = field(default=None, compare=False, repr=False)

    @property
    def fronts(self) -> list[tuple[str, str, int]]:
        """Where it is reached, as address, protocol, port; a node port has the address ""."""
        found = [(ip, self.protocol, self.port) for ip in (self.cluster_ip, *self.external_ips)]
        return [*found, ("", self.protocol, self.node_port)] if self.node_port else found


def served_ports(
    service: Service | None, endpoints: Endpoints | None, refused: Container[str] = ()
) -> dict[str, ServedPort]:
    """The ports of a service, by name; none for a headless one. refused: addresses that no endpoint may have."""
    if service is None or not cluster_ip(service):
        return {}
    backends = addresses(endpoints) if endpoints else {}
    found = {}
    for port in service.spec.ports:
        if port.port:
            name = port_name(service, port)
            usable = sorted(each for each in backends.get(name, []) if each.ip not in refused)
            found[name] = _served_port(name, service, port, tuple(usable))
    return found


def _served_port(name: str, service: Service, port: ServicePort, endpoints: tuple[Address, ...]) -> ServedPort:
    cluster_ip, *external = portal_ips(service)
    return ServedPort(
        name=name,
        protocol="udp" if port.protocol == "UDP" else "tcp",
        cluster_ip=cluster_ip,
        port=port.port or 0,
        external_ips=tuple(external),
        node_port=port.node_port or 0,
        sticky=service.spec.session_affinity == "ClientIP",
        endpoints=endpoints,
        service=service,
    )


class Claims:
    """Which service port has which address: whoever comes first, until it lets go."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str, int], str] = {}

    def release(self, ports: Iterable[ServedPort]) -> None:
        for port in ports:
            for front in port.fronts:
                if self._owners.get(front) == port.name:
                    del self._owners[front]

    def claim(self, port: ServedPort) -> tuple[ServedPort | None, str]:
        """The port with the addresses that are its own, None without a cluster IP of its own; "" or what it lost."""
        lost = {front: self._owners[front] for front in port.fronts if self._owners.get(front, port.name) != port.name}
        for front in port.fronts:
            self._owners.setdefault(front, port.name)
        if not lost:
            return port, ""
        trouble = ", ".join(f"{ip or 'node port'}:{number} belongs to {who}" for (ip, _, number), who in lost.items())
        if (port.cluster_ip, port.protocol, port.port) in lost:
            return None, trouble
        return without(port, [ip for ip, _, _ in lost]), trouble


def without(port: ServedPort, lost: Collection[str]) -> ServedPort:
    """The same port without these external addresses; "" is its node port."""
    return ServedPort(
        port.name, port.protocol, port.cluster_ip, port.port,
        tuple(ip for ip in port.external_ips if ip not in lost), 0 if "" in lost else port.node_port,
        port.sticky, port.endpoints, port.service,
    )  # fmt: skip
