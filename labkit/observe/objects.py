"""What the API server knows, found by name and by address.

A name that nothing has is refused with those that come near.
"""

import difflib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from labkit.api.services import cluster_ip
from labkit.api.types import Endpoints, Object, Pod, Service, ServicePort, key

T = TypeVar("T", bound=Object)

WRONG, NOT_WELL = 2, 1


class Refused(Exception):
    """Nothing was sent. exit_code: 2 for a name or an address that is wrong, 1 for a thing that is not well."""

    def __init__(self, message: str, exit_code: int = WRONG) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class Objects:
    """What the API server knows."""

    pods: list[Pod] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    endpoints: list[Endpoints] = field(default_factory=list)


def addresses(service: Service) -> list[str]:
    """Every address under which a service is reached."""
    spec = service.spec
    ingress = [each.ip for each in service.status.load_balancer.ingress]
    every = [spec.cluster_ip, *spec.deprecated_public_ips, *spec.public_ips, *spec.external_ips, *ingress]
    return [ip for ip in dict.fromkeys(every) if ip and ip != "None"]


def own_ip(service: Service) -> str:
    """Its cluster IP. Refused: it is headless."""
    if not cluster_ip(service):
        raise Refused(f"service {key(service)} is headless: it has no address, its name leads to its pods: labkit dns")
    return service.spec.cluster_ip


def backends(service: Service, port: ServicePort, objects: Objects) -> list[str]:
    """The endpoints of a service port, as kube-proxy sees them."""
    mine = [each for each in objects.endpoints if key(each) == key(service)]
    return [
        f"{address.ip}:{there.port}"
        for each in mine
        for subset in each.subsets
        for there in subset.ports
        if there.name == port.name
        for address in subset.addresses
    ]


def named(name: str, namespace: str, objects: Iterable[T], kind: str) -> T:
    every = list(objects)
    for each in every:
        if (each.metadata.namespace, each.metadata.name) == (namespace, name):
            return each
    elsewhere = [key(each) for each in every if each.metadata.name == name]
    if elsewhere:
        raise Refused(f"there is no {kind} {namespace}/{name}, but {', '.join(elsewhere)}")
    known = [each.metadata.name for each in every if each.metadata.namespace == namespace]
    raise Refused(f"there is no {kind} {name} in namespace {namespace}{near(name, known)}")


def near(name: str, known: list[str]) -> str:
    found = (
        difflib.get_close_matches(name, known, n=3, cutoff=0.5) or [each for each in known if each.startswith(name)][:3]
    )
    return f"; did you mean {' or '.join(found)}?" if found else f"; there is {', '.join(sorted(known)[:8]) or 'none'}"


def within(ip: str, network: str) -> bool:
    return ipaddress.ip_address(ip) in ipaddress.ip_network(network)
