"""Services: named ports when there are several, one cluster IP for life."""

import ipaddress

from labkit.api.errors import Fault
from labkit.api.faults import duplicate, invalid, not_supported, required
from labkit.api.names import DNS_952_LABEL, DNS_LABEL, PORT_NAME, is_ip, is_ipv4
from labkit.api.services import HEADLESS, cluster_ip
from labkit.api.types import Service, ServicePort, ServiceSpec
from labkit.api.validation import metadata
from labkit.api.validation.pod import PORT_RANGE, PROTOCOLS, is_port

TYPES = ("ClusterIP", "LoadBalancer", "NodePort")
AFFINITIES = ("ClientIP", "None")


def faults(service: Service) -> list[Fault]:
    spec = service.spec
    found = metadata.object_faults(service, DNS_952_LABEL)
    if not spec.ports:
        found.append(required("spec.ports"))
    names: set[str] = set()
    for index, port in enumerate(spec.ports):
        found += _port_faults(port, f"spec.ports[{index}]", named=len(spec.ports) > 1, names=names)
    found += metadata.labels(spec.selector, "spec.selector")
    found += _choice_faults("spec.sessionAffinity", spec.session_affinity, AFFINITIES)
    if spec.cluster_ip not in ("", HEADLESS) and not is_ip(spec.cluster_ip):
        why = "clusterIP should be empty, 'None', or a valid IP address"
        found.append(invalid("spec.clusterIP", spec.cluster_ip, why))
    found += _public_ip_faults(spec.deprecated_public_ips)
    found += _choice_faults("spec.type", spec.type, TYPES)
    return found + _type_faults(spec) + _node_port_faults(spec.ports)


def update_faults(new: Service, old: Service) -> list[Fault]:
    found = metadata.update_faults(new, old)
    if cluster_ip(old) and new.spec.cluster_ip != old.spec.cluster_ip:
        found.append(invalid("spec.clusterIP", new.spec.cluster_ip, metadata.IMMUTABLE))
    return found + faults(new)


def status_update_faults(new: Service, old: Service) -> list[Fault]:
    return metadata.update_faults(new, old)


def _port_faults(port: ServicePort, path: str, *, named: bool, names: set[str]) -> list[Fault]:
    """names: those of the ports before; this one's is added."""
    found = []
    if not port.name:
        if named:
            found.append(required(f"{path}.name"))
    elif why := DNS_LABEL.fault(port.name):
        found.append(invalid(f"{path}.name", port.name, why))
    elif port.name in names:
        found.append(duplicate(f"{path}.name", port.name))
    names.add(port.name)
    if not is_port(port.port):
        found.append(invalid(f"{path}.port", port.port or 0, PORT_RANGE))
    found += _choice_faults(f"{path}.protocol", port.protocol, PROTOCOLS)
    target = port.target_port
    if isinstance(target, str):
        if why := PORT_NAME.fault(target):
            found.append(invalid(f"{path}.targetPort", target, why))
    elif not is_port(target):
        found.append(invalid(f"{path}.targetPort", target or 0, PORT_RANGE))
    return found


def _choice_faults(path: str, value: str, choices: tuple[str, ...]) -> list[Fault]:
    if not value:
        return [required(path)]
    return [] if value in choices else [not_supported(path, value, choices)]


def _public_ip_faults(addresses: list[str]) -> list[Fault]:
    found = []
    for address in addresses:
        if address == "0.0.0.0":  # noqa: S104  (refused, not bound)
            found.append(invalid("spec.publicIPs", address, "is not an IP address"))
        elif is_ipv4(address) and ipaddress.IPv4Address(address).is_loopback:
            found.append(invalid("spec.publicIPs", address, "publicIP cannot be a loopback"))
    return found


def _type_faults(spec: ServiceSpec) -> list[Fault]:
    """What a type of service does not go together with."""
    found = []
    for index, port in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        if spec.type == "LoadBalancer" and port.protocol != "TCP":
            why = "cannot create an external load balancer with non-TCP ports"
            found.append(invalid(f"{path}.protocol", port.protocol, why))
        if spec.type == "ClusterIP" and port.node_port:
            why = "cannot specify a node port with services of type ClusterIP"
            found.append(invalid(f"{path}.nodePort", port.node_port, why))
    return found


def _node_port_faults(ports: list[ServicePort]) -> list[Fault]:
    """The same number twice for one protocol."""
    found, seen = [], set()
    for index, port in enumerate(ports):
        if not port.node_port:
            continue
        if (port.protocol, port.node_port) in seen:
            found.append(invalid(f"spec.ports[{index}].nodePort", port.node_port, "duplicate nodePort specified"))
        seen.add((port.protocol, port.node_port))
    return found
