"""Which DNS records a Service has, and the table of all of them.

    Service redis-master in namespace default, cluster IP 10.0.0.11, a port named redis:

    redis-master.default.svc.cluster.local.               A    10.0.0.11
    redis-master.default.cluster.local.                   A    10.0.0.11          the older name, still answered
    _redis._tcp.redis-master.default.svc.cluster.local.   SRV  10 10 6379 redis-master.default.svc.cluster.local.
    11.0.0.10.in-addr.arpa.                               PTR  redis-master.default.svc.cluster.local.

    headless (clusterIP: None): one A record per ready endpoint instead, and a name for each of them,
    10-244-2-7.redis-master.default.svc.cluster.local., which SRV and PTR records point to.

Names are in lower case and end with the root's dot. Source: cluster/addons/dns/kube2sky of Kubernetes 0.18 (A records
under both names); the DNS specification of later Kubernetes (SRV, PTR); RFC 6303 (names of private addresses: the
server that is asked denies them itself, nobody outside can know them).
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from labkit.api.services import HEADLESS
from labkit.api.types import Endpoints, EndpointSubset, Service

PRIORITY = WEIGHT = 10  # kube2sky's
PRIVATE = tuple(f"{net}.in-addr.arpa." for net in ("10", *(f"{n}.172" for n in range(16, 32)), "168.192", "127"))


class Record(NamedTuple):
    """type: A, SRV or PTR. data: an address, `10 10 6379 target.`, or a name."""

    name: str
    type: str
    data: str


def records_of(service: Service, endpoints: Endpoints | None, domain: str) -> list[Record]:
    """Every record that a service causes; none while it has no cluster IP, or is headless and nothing is ready."""
    meta = service.metadata
    name = f"{meta.name}.{meta.namespace}.svc.{domain}"
    older = f"{meta.name}.{meta.namespace}.{domain}"
    if service.spec.cluster_ip == HEADLESS:
        return [*_headless(name, older, endpoints)] if endpoints else []
    if not service.spec.cluster_ip:
        return []
    ip = service.spec.cluster_ip
    ports = [(port.name, port.protocol, port.port or 0) for port in service.spec.ports]
    return [
        Record(name, "A", ip),
        Record(older, "A", ip),
        Record(reverse(ip), "PTR", name),
        *(_srv(name, port, name) for port in ports if port[0]),
    ]


def reverse(ip: str) -> str:
    """10.0.0.11 -> 11.0.0.10.in-addr.arpa."""
    return ".".join(reversed(ip.split("."))) + ".in-addr.arpa."


def _headless(name: str, older: str, endpoints: Endpoints) -> Iterator[Record]:
    addresses = {each.ip for subset in endpoints.subsets for each in subset.addresses}
    for ip in sorted(addresses):
        own = _own_name(ip, name)
        yield from (
            Record(name, "A", ip),
            Record(older, "A", ip),
            Record(own, "A", ip),
            Record(reverse(ip), "PTR", own),
        )
    for subset in endpoints.subsets:
        yield from _headless_ports(name, subset)


def _headless_ports(name: str, subset: EndpointSubset) -> Iterator[Record]:
    for port in subset.ports:
        for address in subset.addresses:
            if port.name:
                yield _srv(name, (port.name, port.protocol, port.port), _own_name(address.ip, name))


def _own_name(ip: str, name: str) -> str:
    return f"{ip.replace('.', '-')}.{name}"


def _srv(name: str, port: tuple[str, str, int], target: str) -> Record:
    port_name, protocol, number = port
    owner = f"_{port_name}._{(protocol or 'TCP').lower()}.{name}"
    return Record(owner, "SRV", f"{PRIORITY} {WEIGHT} {number} {target}")


class Records:
    """The table: what each service has, found by name. `serial` grows with each change."""

    def __init__(self, domain: str = "cluster.local.") -> None:
        self.domain = domain.lower().rstrip(".") + "."
        self.serial = 1
        self._of: dict[str, list[Record]] = {}  # service key -> its records
        self._at: dict[str, dict[str, list[str]]] = {}  # name -> type -> data
        self._above: Counter[str] = Counter()  # how many records a name has below it

    def put(self, key: str, records: list[Record]) -> tuple[list[Record], list[Record]]:
        """Make these the records of a service (none: it is gone); those that came and those that went."""
        old = self._of.get(key, [])
        new = list(dict.fromkeys(records))
        came, went = [each for each in new if each not in old], [each for each in old if each not in new]
        for record in went:
            self._remove(record)
        for record in came:
            self._add(record)
        if new:
            self._of[key] = new
        else:
            self._of.pop(key, None)
        self.serial += bool(came or went)
        return came, went

    def at(self, name: str) -> dict[str, list[str]] | None:
        """Type -> data at a name; empty for one that only has names below it, None for one that does not exist."""
        found = self._at.get(name)
        if found is None and (name == self.domain or name in PRIVATE or self._above[name]):
            return {}
        return found

    def zone(self, name: str) -> str:
        """The zone of ours that a name is in: the cluster's domain, or the reverse of private addresses; "" for none.

        The reverse of another address that we gave (Endpoints may lead anywhere) is a zone by itself.
        """
        for zone in (self.domain, *(PRIVATE if name.endswith(".in-addr.arpa.") else ())):
            if name == zone or name.endswith("." + zone):
                return zone
        return name if name in self._at else ""

    def _add(self, record: Record) -> None:
        self._at.setdefault(record.name, {}).setdefault(record.type, []).append(record.data)
        self._above.update(_parents(record.name))

    def _remove(self, record: Record) -> None:
        types = self._at[record.name]
        types[record.type].remove(record.data)
        if not types[record.type]:
            del types[record.type]
        if not types:
            del self._at[record.name]
        for parent in _parents(record.name):
            self._above[parent] -= 1
            if not self._above[parent]:
                del self._above[parent]


def _parents(name: str) -> list[str]:
    """a.b.c. -> b.c., c."""
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(1, len(labels) - 1)]
