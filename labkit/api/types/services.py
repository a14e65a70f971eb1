"""Services: one address for many pods, and the endpoints behind it."""

from typing import ClassVar

from labkit.api.types.metadata import Object, ObjectReference
from labkit.api.types.part import Int32, IntOrString, Part, shown


class ServicePort(Part):
    name: str = ""
    protocol: str = ""
    port: Int32 | None = None
    target_port: IntOrString | None = None
    node_port: Int32 | None = None


class ServiceSpec(Part):
    ports: list[ServicePort] = []
    selector: dict[str, str] = {}
    cluster_ip: str = ""
    type: str = ""
    session_affinity: str = ""
    deprecated_public_ips: list[str] = []
    public_ips: list[str] = []
    external_ips: list[str] = []


class LoadBalancerIngress(Part):
    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Part):
    ingress: list[LoadBalancerIngress] = []


class ServiceStatus(Part):
    load_balancer: LoadBalancerStatus = shown(None)

    def __post_init__(self) -> None:
        self.load_balancer = self.load_balancer or LoadBalancerStatus()


class Service(Object):
    KIND: ClassVar[str] = "Service"
    spec: ServiceSpec = shown(None)
    status: ServiceStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or ServiceSpec()
        self.status = self.status or ServiceStatus()


class EndpointAddress(Part):
    ip: str = shown("")
    node_name: str = ""
    target_ref: ObjectReference | None = None


class EndpointPort(Part):
    name: str = ""
    port: Int32 = shown(0)
    protocol: str = ""


class EndpointSubset(Part):
    """Every address of it serves every port of it."""

    addresses: list[EndpointAddress] = []
    not_ready_addresses: list[EndpointAddress] = []
    ports: list[EndpointPort] = []


class Endpoints(Object):
    KIND: ClassVar[str] = "Endpoints"
    subsets: list[EndpointSubset] = []
