"""Replication controllers: so many pods of one template."""

from typing import ClassVar

from labkit.api.types.metadata import Object
from labkit.api.types.part import Int32, Int64, Part, shown
from labkit.api.types.pods import PodTemplateSpec


class ReplicationControllerSpec(Part):
    replicas: Int32 | None = None
    selector: dict[str, str] = {}
    template: PodTemplateSpec | None = None


class ReplicationControllerStatus(Part):
    replicas: Int32 = shown(0)
    observed_generation: Int64 | None = None
    ready_replicas: Int32 | None = None
    available_replicas: Int32 | None = None


class ReplicationController(Object):
    KIND: ClassVar[str] = "ReplicationController"
    spec: ReplicationControllerSpec = shown(None)
    status: ReplicationControllerStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or ReplicationControllerSpec()
        self.status = self.status or ReplicationControllerStatus()


class ScaleSpec(Part):
    replicas: Int32 = shown(0)


class ScaleStatus(Part):
    replicas: Int32 = shown(0)
    selector: str = ""


class Scale(Object):
    """The `scale` subresource that kubectl reads and writes (group autoscaling/v1)."""

    KIND: ClassVar[str] = "Scale"
    api_version: str = shown("autoscaling/v1")
    spec: ScaleSpec = shown(None)
    status: ScaleStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or ScaleSpec()
        self.status = self.status or ScaleStatus()
