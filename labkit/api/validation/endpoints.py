"""Endpoints: IPv4 addresses and ports in range."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid, not_supported, required
from labkit.api.names import DNS_LABEL, DNS_SUBDOMAIN, is_ipv4
from labkit.api.types import EndpointAddress, EndpointPort, Endpoints
from labkit.api.validation import metadata
from labkit.api.validation.pod import PORT_RANGE, PROTOCOLS, is_port


def faults(endpoints: Endpoints) -> list[Fault]:
    return metadata.object_faults(endpoints, DNS_SUBDOMAIN) + _subset_faults(endpoints)


def update_faults(new: Endpoints, old: Endpoints) -> list[Fault]:
    return metadata.update_faults(new, old) + _subset_faults(new)


def _subset_faults(endpoints: Endpoints) -> list[Fault]:
    found = []
    for index, subset in enumerate(endpoints.subsets):
        path = f"subsets[{index}]"
        if not subset.addresses and not subset.not_ready_addresses:
            found.append(required(f"{path}.addresses"))
        if not subset.ports:
            found.append(required(f"{path}.ports"))
        found += _address_faults(subset.addresses, f"{path}.addresses")
        found += _address_faults(subset.not_ready_addresses, f"{path}.notReadyAddresses")
        for number, port in enumerate(subset.ports):
            found += _port_faults(port, f"{path}.ports[{number}]", named=len(subset.ports) > 1)
    return found


def _address_faults(addresses: list[EndpointAddress], path: str) -> list[Fault]:
    return [
        invalid(f"{path}[{index}].ip", address.ip, "invalid IPv4 address")
        for index, address in enumerate(addresses)
        if not is_ipv4(address.ip)
    ]


def _port_faults(port: EndpointPort, path: str, *, named: bool) -> list[Fault]:
    found = []
    if named and not port.name:
        found.append(required(f"{path}.name"))
    elif port.name and (why := DNS_LABEL.fault(port.name)):
        found.append(invalid(f"{path}.name", port.name, why))
    if not is_port(port.port):
        found.append(invalid(f"{path}.port", port.port, PORT_RANGE))
    if not port.protocol:
        found.append(required(f"{path}.protocol"))
    elif port.protocol not in PROTOCOLS:
        found.append(not_supported(f"{path}.protocol", port.protocol, PROTOCOLS))
    return found
