"""Lease: who leads, and until when (coordination.k8s.io/v1, of later times). What two of a component agree by."""

from typing import ClassVar

from labkit.api.types.metadata import Object
from labkit.api.types.part import Int32, MicroTime, Part, shown


class LeaseSpec(Part):
    holder_identity: str = ""
    lease_duration_seconds: Int32 | None = None
    acquire_time: MicroTime | None = None
    renew_time: MicroTime | None = None
    lease_transitions: Int32 | None = None


class Lease(Object):
    KIND: ClassVar[str] = "Lease"
    api_version: str = shown("coordination.k8s.io/v1")
    spec: LeaseSpec = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or LeaseSpec()
