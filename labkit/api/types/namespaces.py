"""Namespaces: what names are unique in."""

from typing import ClassVar

from labkit.api.types.metadata import Object
from labkit.api.types.part import Part, shown


class NamespaceSpec(Part):
    finalizers: list[str] = []


class NamespaceStatus(Part):
    phase: str = ""


class Namespace(Object):
    KIND: ClassVar[str] = "Namespace"
    spec: NamespaceSpec = shown(None)
    status: NamespaceStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or NamespaceSpec()
        self.status = self.status or NamespaceStatus()
