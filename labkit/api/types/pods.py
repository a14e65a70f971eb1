"""Pods, and the templates that they are made from."""

from typing import ClassVar

import msgspec

from labkit.api.types.answers import DeleteOptions
from labkit.api.types.containers import Container
from labkit.api.types.metadata import LocalObjectReference, Object, ObjectMeta, ObjectReference
from labkit.api.types.part import Int32, Int64, Part, Time, shown
from labkit.api.types.volumes import Volume


class PodSpec(Part):
    volumes: list[Volume] = []
    containers: list[Container] = shown(None)
    restart_policy: str = ""
    termination_grace_period_seconds: Int64 | None = None
    active_deadline_seconds: Int64 | None = None
    dns_policy: str = ""
    node_selector: dict[str, str] = {}
    service_account_name: str = ""
    service_account: str = ""
    automount_service_account_token: bool | None = None
    node_name: str = ""
    host: str = ""  # the draft's name of nodeName
    host_network: bool | None = None
    host_pid: bool | None = None
    host_ipc: bool | None = None
    hostname: str = ""
    share_process_namespace: bool | None = None
    image_pull_secrets: list[LocalObjectReference] = []
    scheduler_name: str = ""

    def __post_init__(self) -> None:
        if self.containers is None:
            self.containers = []


class ContainerStateWaiting(Part):
    reason: str = ""
    message: str = ""


class ContainerStateRunning(Part):
    started_at: Time | None = None


class ContainerStateTerminated(Part):
    exit_code: Int32 = shown(0)
    signal: Int32 | None = None
    reason: str = ""
    message: str = ""
    started_at: Time | None = None
    finished_at: Time | None = None
    container_id: str = msgspec.field(default="", name="containerID")


class ContainerState(Part):
    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Part):
    name: str = shown("")
    state: ContainerState = shown(None)
    last_state: ContainerState = shown(None)
    ready: bool = shown(False)
    restart_count: Int32 = shown(0)
    image: str = shown("")
    image_id: str = msgspec.field(default_factory=lambda: "", name="imageID")
    container_id: str = msgspec.field(default="", name="containerID")

    def __post_init__(self) -> None:
        self.state = self.state or ContainerState()
        self.last_state = self.last_state or ContainerState()


class Condition(Part):
    """A condition of a pod or of a node; pods leave the heartbeat absent."""

    type: str = shown("")
    status: str = shown("")
    last_heartbeat_time: Time | None = None
    last_probe_time: Time | None = None
    last_transition_time: Time | None = None
    reason: str = ""
    message: str = ""


class PodStatus(Part):
    phase: str = ""
    conditions: list[Condition] = []
    message: str = ""
    reason: str = ""
    host_ip: str = ""
    pod_ip: str = ""
    start_time: Time | None = None
    container_statuses: list[ContainerStatus] = []


class Pod(Object):
    KIND: ClassVar[str] = "Pod"
    spec: PodSpec = shown(None)
    status: PodStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or PodSpec()
        self.status = self.status or PodStatus()


class PodTemplateSpec(Part):
    metadata: ObjectMeta = shown(None)
    spec: PodSpec = shown(None)

    def __post_init__(self) -> None:
        self.metadata = self.metadata or ObjectMeta()
        self.spec = self.spec or PodSpec()


class PodTemplate(Object):
    KIND: ClassVar[str] = "PodTemplate"
    template: PodTemplateSpec = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.template = self.template or PodTemplateSpec()


class Eviction(Object):
    """`POST pods/NAME/eviction`: delete pod `metadata.name`, if nobody objects (group policy/v1)."""

    KIND: ClassVar[str] = "Eviction"
    api_version: str = shown("policy/v1")
    delete_options: DeleteOptions | None = None


class Binding(Object):
    """`POST pods/NAME/binding` (or `bindings`): put pod `metadata.name` on node `target.name`."""

    KIND: ClassVar[str] = "Binding"
    target: ObjectReference = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.target = self.target or ObjectReference()
