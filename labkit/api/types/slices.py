"""EndpointSlice: the Endpoints of a service as kubectl 1.32 and later want to read them (discovery.k8s.io/v1)."""

from typing import ClassVar

from labkit.api.types.metadata import Object, ObjectReference
from labkit.api.types.part import Int32, Part, shown


class EndpointConditions(Part):
    ready: bool = shown(False)
    serving: bool = shown(False)
    terminating: bool = shown(False)


class Endpoint(Part):
    """One backend."""

    addresses: list[str] = shown(None)
    conditions: EndpointConditions = shown(None)
    node_name: str = ""
    target_ref: ObjectReference | None = None

    def __post_init__(self) -> None:
        self.addresses = self.addresses or []
        self.conditions = self.conditions or EndpointConditions()


class SlicePort(Part):
    name: str = shown("")
    port: Int32 = shown(0)
    protocol: str = shown("TCP")


class EndpointSlice(Object):
    KIND: ClassVar[str] = "EndpointSlice"
    api_version: str = shown("discovery.k8s.io/v1")
    address_type: str = shown("IPv4")
    endpoints: list[Endpoint] = shown(None)
    ports: list[SlicePort] = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.endpoints = self.endpoints or []
        self.ports = self.ports or []
