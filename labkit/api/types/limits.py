"""How much there may be in a namespace: of each thing (LimitRange), and of all together (ResourceQuota)."""

from typing import ClassVar

from labkit.api.types.metadata import Object
from labkit.api.types.part import Part, Quantity, shown


class LimitRangeItem(Part):
    type: str = ""
    max: dict[str, Quantity] = {}
    min: dict[str, Quantity] = {}
    default: dict[str, Quantity] = {}
    default_request: dict[str, Quantity] = {}


class LimitRangeSpec(Part):
    limits: list[LimitRangeItem] = shown(None)

    def __post_init__(self) -> None:
        if self.limits is None:
            self.limits = []


class LimitRange(Object):
    KIND: ClassVar[str] = "LimitRange"
    spec: LimitRangeSpec = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or LimitRangeSpec()


class ResourceQuotaSpec(Part):
    hard: dict[str, Quantity] = {}


class ResourceQuotaStatus(Part):
    hard: dict[str, Quantity] = {}
    used: dict[str, Quantity] = {}


class ResourceQuota(Object):
    KIND: ClassVar[str] = "ResourceQuota"
    spec: ResourceQuotaSpec = shown(None)
    status: ResourceQuotaStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or ResourceQuotaSpec()
        self.status = self.status or ResourceQuotaStatus()
