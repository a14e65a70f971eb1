"""Nodes: the machines that pods run on."""

from typing import ClassVar

import msgspec

from labkit.api.types.metadata import Object
from labkit.api.types.part import Int32, Part, Quantity, shown
from labkit.api.types.pods import Condition


class NodeSpec(Part):
    pod_cidr: str = ""
    external_id: str = msgspec.field(default="", name="externalID")
    provider_id: str = msgspec.field(default="", name="providerID")
    unschedulable: bool | None = None


class NodeAddress(Part):
    type: str = shown("")
    address: str = shown("")


class NodeSystemInfo(Part):
    machine_id: str = msgspec.field(default_factory=lambda: "", name="machineID")
    system_uuid: str = msgspec.field(default_factory=lambda: "", name="systemUUID")
    boot_id: str = msgspec.field(default_factory=lambda: "", name="bootID")
    kernel_version: str = shown("")
    os_image: str = shown("")
    container_runtime_version: str = shown("")
    kubelet_version: str = shown("")
    kube_proxy_version: str = shown("")
    operating_system: str = ""
    architecture: str = ""


class DaemonEndpoint(Part):
    port: Int32 = msgspec.field(default_factory=lambda: 0, name="Port")


class NodeDaemonEndpoints(Part):
    kubelet_endpoint: DaemonEndpoint | None = None


class NodeStatus(Part):
    capacity: dict[str, Quantity] = {}
    allocatable: dict[str, Quantity] = {}
    phase: str = ""
    conditions: list[Condition] = []
    addresses: list[NodeAddress] = []
    daemon_endpoints: NodeDaemonEndpoints | None = None
    node_info: NodeSystemInfo | None = None


class Node(Object):
    KIND: ClassVar[str] = "Node"
    spec: NodeSpec = shown(None)
    status: NodeStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or NodeSpec()
        self.status = self.status or NodeStatus()
