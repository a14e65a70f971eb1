"""Nodes: all that may change is metadata, status, podCIDR and whether pods are scheduled to it."""

from labkit.api.errors import Fault
from labkit.api.faults import required
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import Node, NodeSpec, copy
from labkit.api.validation import metadata


def faults(node: Node) -> list[Fault]:
    found = metadata.object_faults(node, DNS_SUBDOMAIN, namespaced=False)
    if not node.spec.external_id:
        found.append(required("spec.ExternalID"))
    return found


def update_faults(new: Node, old: Node) -> list[Fault]:
    found = metadata.update_faults(new, old) + _address_faults(new)
    if _fixed(new.spec) != _fixed(old.spec) or (old.spec.pod_cidr and new.spec.pod_cidr != old.spec.pod_cidr):
        found.append(_bare("update contains more than labels or capacity changes"))
    return found


def status_update_faults(new: Node, old: Node) -> list[Fault]:
    return metadata.update_faults(new, old) + _address_faults(new)


def _fixed(spec: NodeSpec) -> NodeSpec:
    """The part of a node's spec that stays as it was created."""
    fixed = copy(spec)
    fixed.unschedulable, fixed.pod_cidr = None, ""
    return fixed


def _address_faults(node: Node) -> list[Fault]:
    addresses = [(address.type, address.address) for address in node.status.addresses]
    return [_bare("duplicate node addresses found")] if len(set(addresses)) < len(addresses) else []


def _bare(sentence: str) -> Fault:
    """A fault of the whole object."""
    return Fault("FieldValueInvalid", "", sentence)
