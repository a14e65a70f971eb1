"""Namespaces: a DNS label outside of any namespace; finalizers that are known or qualified."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid
from labkit.api.names import DNS_LABEL
from labkit.api.types import Namespace
from labkit.api.validation import metadata


def faults(namespace: Namespace) -> list[Fault]:
    return metadata.object_faults(namespace, DNS_LABEL, namespaced=False) + _finalizer_faults(namespace)


def update_faults(new: Namespace, old: Namespace) -> list[Fault]:
    return metadata.update_faults(new, old) + _finalizer_faults(new)


def status_update_faults(new: Namespace, old: Namespace) -> list[Fault]:
    """Terminating if and only if it is being deleted."""
    found = metadata.update_faults(new, old)
    phase, deleting = new.status.phase, new.metadata.deletion_timestamp
    if not deleting and phase != "Active":
        why = "A namespace may only be in active status if it does not have a deletion timestamp."
        found.append(invalid("Status.Phase", phase, why))
    if deleting and phase != "Terminating":
        why = "A namespace may only be in terminating status if it has a deletion timestamp."
        found.append(invalid("Status.Phase", phase, why))
    return found


def _finalizer_faults(namespace: Namespace) -> list[Fault]:
    return [
        fault
        for name in namespace.spec.finalizers
        for fault in metadata.finalizer_faults(name, ("kubernetes",), "spec.finalizers")
    ]
