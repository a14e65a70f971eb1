"""Pods: volumes first (mounts refer to them), then the containers, then what concerns the whole pod."""

import msgspec

from labkit.api.errors import Fault
from labkit.api.faults import duplicate, invalid, not_supported, required
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import Container, Pod, PodSpec, copy
from labkit.api.validation import container, metadata
from labkit.api.validation.container import PORT_RANGE, PROTOCOLS, is_port
from labkit.api.validation.volumes import names_and_faults

__all__ = ["PORT_RANGE", "PROTOCOLS", "faults", "is_port", "spec_faults", "status_update_faults", "update_faults"]

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirst", "Default")

# Specs without a fault, as JSON, oldest first: a controller makes hundreds of pods of one template, and to look such a
# spec up costs a tenth of looking at it again.
_faultless: dict[bytes, None] = {}
_REMEMBERED, _LONGEST = 256, 8192  # specs; bytes of one
_encode = msgspec.json.Encoder().encode


def faults(pod: Pod) -> list[Fault]:
    return metadata.object_faults(pod, DNS_SUBDOMAIN) + spec_faults(pod.spec, "spec")


def update_faults(new: Pod, old: Pod) -> list[Fault]:
    """Of a pod's spec only the images may change."""
    found = metadata.update_faults(new, old) + spec_faults(new.spec, "spec")
    if len(new.spec.containers) != len(old.spec.containers):
        why = "may not add or remove containers"
        return [*found, invalid("spec.containers", new.spec.containers, why)]
    if new.spec != old.spec and _with_images_of(new.spec, old.spec) != old.spec:
        found.append(invalid("spec", new.spec, "may not update fields other than container.image"))
    return found


def status_update_faults(new: Pod, old: Pod) -> list[Fault]:
    """new.spec must be what the client sent: a status never moves a pod to another node."""
    found = metadata.update_faults(new, old)
    if new.spec.node_name != old.spec.node_name:
        found.append(invalid("status.nodeName", new.spec.node_name, "pod nodename cannot be changed directly"))
    return found


def _with_images_of(new: PodSpec, old: PodSpec) -> PodSpec:
    spec = copy(new)
    for mine, theirs in zip(spec.containers, old.containers, strict=True):
        mine.image = theirs.image
    return spec


def spec_faults(spec: PodSpec, path: str) -> list[Fault]:
    """path: `spec`, or `spec.template.spec`."""
    key = _encode(spec)
    if key in _faultless:
        return []
    found = _all_spec_faults(spec, path)
    if not found and len(key) <= _LONGEST:
        _faultless[key] = None
        if len(_faultless) > _REMEMBERED:
            del _faultless[next(iter(_faultless))]
    return found


def _all_spec_faults(spec: PodSpec, path: str) -> list[Fault]:
    names, found = names_and_faults(spec.volumes, f"{path}.volumes")
    found += _container_faults(spec.containers, names, f"{path}.containers")
    found += _policy_faults(spec, path)
    found += metadata.labels(spec.node_selector, f"{path}.nodeSelector")
    if spec.host_network:
        found += _host_network_faults(spec.containers, path)
    for field, name in (("serviceAccountName", spec.service_account_name), ("nodeName", spec.node_name)):
        if name and (why := DNS_SUBDOMAIN.fault(name)):
            found.append(invalid(f"{path}.{field}", name, why))
    deadline = spec.active_deadline_seconds
    if deadline is not None and deadline <= 0:
        why = "activeDeadlineSeconds must be a positive integer greater than 0"
        found.append(invalid(f"{path}.activeDeadlineSeconds", deadline, why))
    return found


def _policy_faults(spec: PodSpec, path: str) -> list[Fault]:
    found = []
    for name, policy, choices in (
        ("restartPolicy", spec.restart_policy, RESTART_POLICIES),
        ("dnsPolicy", spec.dns_policy, DNS_POLICIES),
    ):
        if not policy:
            found.append(required(f"{path}.{name}"))
        elif policy not in choices:
            found.append(not_supported(f"{path}.{name}", policy, choices))
    return found


def _container_faults(containers: list[Container], volumes: set[str], path: str) -> list[Fault]:
    if not containers:
        return [required(path)]
    found: list[Fault] = []
    names: set[str] = set()
    for index, one in enumerate(containers):
        field = f"{path}[{index}]"
        if one.name in names:
            found.append(duplicate(f"{field}.name", one.name))
        names.add(one.name)
        found += container.faults(one, volumes, field)
    return found + _host_port_faults(containers, path)


def _host_port_faults(containers: list[Container], path: str) -> list[Fault]:
    """Two containers of a pod cannot have the same port of the node."""
    found = []
    taken = set()
    for index, one in enumerate(containers):
        for port in one.ports:
            number = f"{port.host_port}/{port.protocol}"
            if port.host_port and number in taken:
                found.append(duplicate(f"{path}[{index}].port", number))
            taken.add(number)
    return found


def _host_network_faults(containers: list[Container], path: str) -> list[Fault]:
    why = "containerPort must match hostPort if hostNetwork is set to true"
    return [
        invalid(f"{path}.hostNetwork.containerPort", port.container_port, why)
        for one in containers
        for port in one.ports
        if port.host_port != port.container_port
    ]
