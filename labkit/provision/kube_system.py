"""The objects that make the cluster's DNS a Service like any other.

    Service kube-dns (namespace kube-system, no selector)  10.0.0.10: dns 53/UDP, dns-tcp 53/TCP
    Endpoints kube-dns                                     the master, where the component kube-dns listens

Made by the first `labkit up`, repaired by any later one.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from labkit.api.errors import AlreadyExists, NotFound
from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Namespace,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.client.rest import Client
from labkit.cluster import Cluster

NAMESPACE = "kube-system"
NAME = "kube-dns"
LABELS = {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "KubeDNS"}
PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
Thing = TypeVar("Thing", Service, Endpoints)


def service(cluster: Cluster) -> Service:
    ports = [ServicePort(name=name, protocol=protocol, port=53, target_port=53) for name, protocol in PORTS]
    return Service(metadata=_meta(), spec=ServiceSpec(cluster_ip=cluster.dns.address, ports=ports))


def endpoints(cluster: Cluster) -> Endpoints:
    ports = [EndpointPort(name=name, protocol=protocol, port=53) for name, protocol in PORTS]
    subset = EndpointSubset(addresses=[EndpointAddress(ip=cluster.master.address)], ports=ports)
    return Endpoints(metadata=_meta(), subsets=[subset])


def _meta() -> ObjectMeta:
    return ObjectMeta(name=NAME, namespace=NAMESPACE, labels=dict(LABELS))


def same_service(found: Service, wanted: Service) -> bool:
    """Whether what is stored serves as wanted; fields that the API server filled in do not count."""
    return (found.spec.cluster_ip, _service_ports(found), found.spec.selector) == (
        wanted.spec.cluster_ip,
        _service_ports(wanted),
        {},
    )


def _service_ports(found: Service) -> set[tuple[str, str, int | None, str]]:
    return {(port.name, port.protocol, port.port, str(port.target_port)) for port in found.spec.ports}


def same_endpoints(found: Endpoints, wanted: Endpoints) -> bool:
    def reach(which: Endpoints) -> set[tuple[str, str, str, int]]:
        return {
            (address.ip, port.name, port.protocol, port.port)
            for subset in which.subsets
            for address in subset.addresses
            for port in subset.ports
        }

    return reach(found) == reach(wanted)


async def ensure(client: Client, cluster: Cluster) -> list[str]:
    """What was made or repaired: `service kube-dns`, ...; empty when all is well."""
    changed = []
    try:
        await client.get(Namespace, NAMESPACE)
    except NotFound:
        await client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
        changed.append(f"namespace {NAMESPACE}")
    if await repair(client, service(cluster), same_service):
        changed.append(f"service {NAME}")
    if await repair(client, endpoints(cluster), same_endpoints):
        changed.append(f"endpoints {NAME}")
    return changed


async def repair(client: Client, wanted: Thing, same: Callable[[Thing, Thing], bool]) -> bool:
    """Deleted and made anew where it differs: a service's cluster IP cannot be changed."""
    kind = type(wanted)
    try:
        found = await client.get(kind, wanted.metadata.name, wanted.metadata.namespace)
        if same(found, wanted):
            return False
        await _ignore(client.delete(kind, wanted.metadata.name, wanted.metadata.namespace), NotFound)
    except NotFound:
        pass
    await _ignore(client.create(wanted), AlreadyExists)
    return True


async def _ignore(request: Awaitable[object], expected: type[Exception]) -> None:
    """Somebody else, a controller or a second `up`, may have been faster."""
    try:
        await request
    except expected:
        pass
