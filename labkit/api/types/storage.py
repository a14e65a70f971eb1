"""Storage that outlives pods: the volume that an administrator offers, and the claim of a user on one."""

from typing import ClassVar

from labkit.api.types.containers import ResourceRequirements
from labkit.api.types.metadata import Object, ObjectReference
from labkit.api.types.part import Part, Quantity, shown
from labkit.api.types.volumes import PersistentVolumeSource


class PersistentVolumeSpec(PersistentVolumeSource):
    capacity: dict[str, Quantity] = {}
    access_modes: list[str] = []
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: str = ""


class PersistentVolumeStatus(Part):
    phase: str = ""
    message: str = ""
    reason: str = ""


class PersistentVolume(Object):
    KIND: ClassVar[str] = "PersistentVolume"
    spec: PersistentVolumeSpec = shown(None)
    status: PersistentVolumeStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or PersistentVolumeSpec()
        self.status = self.status or PersistentVolumeStatus()


class PersistentVolumeClaimSpec(Part):
    access_modes: list[str] = []
    resources: ResourceRequirements = shown(None)
    volume_name: str = ""

    def __post_init__(self) -> None:
        self.resources = self.resources or ResourceRequirements()


class PersistentVolumeClaimStatus(Part):
    phase: str = ""
    access_modes: list[str] = []
    capacity: dict[str, Quantity] = {}


class PersistentVolumeClaim(Object):
    KIND: ClassVar[str] = "PersistentVolumeClaim"
    spec: PersistentVolumeClaimSpec = shown(None)
    status: PersistentVolumeClaimStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or PersistentVolumeClaimSpec()
        self.status = self.status or PersistentVolumeClaimStatus()
