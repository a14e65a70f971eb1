"""What a Lease may say. Source: pkg/apis/coordination/validation of Kubernetes."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import Lease
from labkit.api.validation import metadata


def faults(lease: Lease) -> list[Fault]:
    found = metadata.object_faults(lease, DNS_SUBDOMAIN)
    if lease.spec.lease_duration_seconds is not None and lease.spec.lease_duration_seconds <= 0:
        found.append(invalid("spec.leaseDurationSeconds", lease.spec.lease_duration_seconds, "must be greater than 0"))
    if lease.spec.lease_transitions is not None and lease.spec.lease_transitions < 0:
        message = "must be greater than or equal to 0"
        found.append(invalid("spec.leaseTransitions", lease.spec.lease_transitions, message))
    return found


def update_faults(new: Lease, old: Lease) -> list[Fault]:
    return metadata.update_faults(new, old) + faults(new)
