"""What nodes and pods use: the answers behind `kubectl top` (metrics.k8s.io/v1beta1). Worked out, not stored."""

from typing import ClassVar

from labkit.api.types.metadata import Object
from labkit.api.types.part import Part, Quantity, Time, shown


class ContainerMetrics(Part):
    """usage: {"cpu": "12345678n", "memory": "20480Ki"}."""

    name: str = shown("")
    usage: dict[str, Quantity] = shown(None)

    def __post_init__(self) -> None:
        self.usage = self.usage or {}


class NodeMetrics(Object):
    KIND: ClassVar[str] = "NodeMetrics"
    api_version: str = shown("metrics.k8s.io/v1beta1")
    timestamp: Time = shown("")
    window: str = shown("")  # a time as Go writes it: "10.004s"
    usage: dict[str, Quantity] = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.usage = self.usage or {}


class PodMetrics(Object):
    KIND: ClassVar[str] = "PodMetrics"
    api_version: str = shown("metrics.k8s.io/v1beta1")
    timestamp: Time = shown("")
    window: str = shown("")
    containers: list[ContainerMetrics] = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.containers = self.containers or []
