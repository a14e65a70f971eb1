"""Persistent volumes and claims on them: so much of one kind of storage, and who may mount it how.

1.0 reported these faults under paths like `persistentVolume.AccessModes`; here they are the fields' own.
"""

from collections.abc import Sequence

from labkit.api.errors import Fault
from labkit.api.faults import invalid, not_supported, required
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import PersistentVolume, PersistentVolumeClaim, PersistentVolumeSource
from labkit.api.validation import metadata
from labkit.api.validation.resources import amount_faults, resource_faults
from labkit.api.validation.volumes import source_faults

ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")


def volume_faults(volume: PersistentVolume) -> list[Fault]:
    spec = volume.spec
    found = metadata.object_faults(volume, DNS_SUBDOMAIN, namespaced=False)
    found += _access_mode_faults(spec.access_modes)
    if not spec.capacity:
        found.append(required("spec.capacity"))
    if list(spec.capacity) != ["storage"]:
        found.append(invalid("spec.capacity", spec.capacity, "only storage is expected"))
    for resource, amount in spec.capacity.items():
        found += amount_faults(amount, f"spec.capacity[{resource}]")
    found += source_faults(spec, PersistentVolumeSource, "spec")
    if spec.persistent_volume_reclaim_policy not in RECLAIM_POLICIES:
        policy = spec.persistent_volume_reclaim_policy
        found.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    return found


def volume_update_faults(new: PersistentVolume, old: PersistentVolume) -> list[Fault]:
    return metadata.update_faults(new, old) + volume_faults(new)


def volume_status_update_faults(new: PersistentVolume, old: PersistentVolume) -> list[Fault]:
    return metadata.update_faults(new, old)


def claim_faults(claim: PersistentVolumeClaim) -> list[Fault]:
    requests = claim.spec.resources.requests
    found = metadata.object_faults(claim, DNS_SUBDOMAIN) + _access_mode_faults(claim.spec.access_modes)
    if "storage" not in requests:
        found.append(invalid("spec.resources.requests", requests, "No Storage size specified"))
    return found + resource_faults(requests, "spec.resources.requests")


def claim_update_faults(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> list[Fault]:
    return metadata.update_faults(new, old) + claim_faults(new)


def claim_status_update_faults(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> list[Fault]:
    found = metadata.update_faults(new, old)
    for resource, amount in new.status.capacity.items():
        found += amount_faults(amount, f"status.capacity[{resource}]")
    return found


def _access_mode_faults(modes: Sequence[str]) -> list[Fault]:
    if not modes:
        return [required("spec.accessModes")]
    return [not_supported("spec.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
