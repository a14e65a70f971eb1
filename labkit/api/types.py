"""The objects of API v1 as msgspec Structs.

Attributes are the JSON names in snake_case (`pod.spec.node_name` is `spec.nodeName`, `service.spec.cluster_ip` is
`spec.clusterIP`). What is absent stays absent: a list or map defaults to empty, any other optional field to None (text
to ""), and none of them is encoded while it holds that default. Defaulting is a pass of its own (`api/defaults.py`), so
that what a default adds is visible on the wire. Source: the v1 API reference of Kubernetes 1.0.
"""

from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

T = TypeVar("T")

# What fits into the original's fields: an absurd number is refused where it is read.
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# Parts of a field name that Kubernetes writes in capitals; `pod_ip` -> `podIP`, `cluster_ip` -> `clusterIP`.
_ACRONYMS = {
    "ip": "IP", "ips": "IPs", "cidr": "CIDR", "pid": "PID", "ipc": "IPC", "uuid": "UUID", "tcp": "TCP",
}  # fmt: skip


def json_name(attribute: str) -> str:
    """The JSON name of an attribute: `host_ip` -> `hostIP`, `deprecated_public_ips` -> `deprecatedPublicIPs`."""
    first, *rest = attribute.rstrip("_").split("_")
    return first + "".join(_ACRONYMS.get(part, part.capitalize()) for part in rest)


def shown(value: Any) -> Any:
    """A field that is encoded even when it holds this value (a Go field without `omitempty`)."""
    return msgspec.field(default_factory=lambda: value)


class Part(msgspec.Struct, kw_only=True, omit_defaults=True, rename=json_name):
    """A piece of an object."""


# -- metadata ------------------------------------------------------------------------------------------------------


class OwnerReference(Part):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Part):
    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    self_link: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: Int64 | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: Int64 | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []
    finalizers: list[str] = []


class Object(Part):
    """What every kind has: a type and a name. `kind` and `api_version` are filled in for each class below."""

    kind: str = shown("")
    api_version: str = shown("v1")
    metadata: ObjectMeta = shown(None)

    KIND: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not self.kind:
            self.kind = self.KIND
        if self.metadata is None:
            self.metadata = ObjectMeta()


AnyObject = TypeVar("AnyObject", bound=Object)


def key(obj: Object) -> str:
    """`namespace/name`, or `name` for an object outside of namespaces."""
    meta = obj.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def copy(obj: T) -> T:
    """A deep copy: encode and decode is ten times faster than copy.deepcopy."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(obj), type=type(obj))


class ListMeta(Part):
    self_link: str = ""
    resource_version: str = ""
    continue_: str = ""
    remaining_item_count: Int64 | None = None


class ObjectReference(Part):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""


class LocalObjectReference(Part):
    name: str = ""


# -- pods ----------------------------------------------------------------------------------------------------------


class HostPathVolumeSource(Part):
    path: str = ""
    type: str | None = None


class EmptyDirVolumeSource(Part):
    medium: str = ""
    size_limit: str | int | None = None


class SecretVolumeSource(Part):
    secret_name: str = ""


class GCEPersistentDiskVolumeSource(Part):
    pd_name: str = ""
    fs_type: str = ""
    partition: Int32 | None = None
    read_only: bool | None = None


class Volume(Part):
    name: str = ""
    host_path: HostPathVolumeSource | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None


class VolumeMount(Part):
    name: str = ""
    mount_path: str = ""
    sub_path: str = ""
    read_only: bool | None = None


class ContainerPort(Part):
    name: str = ""
    host_port: Int32 | None = None
    container_port: Int32 | None = None
    protocol: str = ""
    host_ip: str = ""


class ObjectFieldSelector(Part):
    api_version: str = ""
    field_path: str = ""


class EnvVarSource(Part):
    field_ref: ObjectFieldSelector | None = None


class EnvVar(Part):
    name: str = ""
    value: str = ""
    value_from: EnvVarSource | None = None


class ResourceRequirements(Part):
    limits: dict[str, str | int | float] = {}
    requests: dict[str, str | int | float] = {}


class ExecAction(Part):
    command: list[str] = []


class HTTPGetAction(Part):
    path: str = ""
    port: Int32 | str | None = None
    host: str = ""
    scheme: str = ""


class TCPSocketAction(Part):
    port: Int32 | str | None = None


class Handler(Part):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None


class Probe(Handler):
    initial_delay_seconds: Int32 | None = None
    timeout_seconds: Int32 | None = None
    period_seconds: Int32 | None = None
    success_threshold: Int32 | None = None
    failure_threshold: Int32 | None = None


class Lifecycle(Part):
    post_start: Handler | None = None
    pre_stop: Handler | None = None


class Capabilities(Part):
    add: list[str] = []
    drop: list[str] = []


class SecurityContext(Part):
    capabilities: Capabilities | None = None
    privileged: bool | None = None
    run_as_user: Int64 | None = None
    run_as_non_root: bool | None = None


class Container(Part):
    name: str = ""
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    working_dir: str = ""
    ports: list[ContainerPort] = []
    env: list[EnvVar] = []
    resources: ResourceRequirements = shown(None)
    volume_mounts: list[VolumeMount] = []
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    image_pull_policy: str = ""
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None

    def __post_init__(self) -> None:
        if self.resources is None:
            self.resources = ResourceRequirements()


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
    started_at: str | None = None


class ContainerStateTerminated(Part):
    exit_code: Int32 = shown(0)
    signal: Int32 | None = None
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None
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
    last_heartbeat_time: str | None = None
    last_probe_time: str | None = None
    last_transition_time: str | None = None
    reason: str = ""
    message: str = ""


class PodStatus(Part):
    phase: str = ""
    conditions: list[Condition] = []
    message: str = ""
    reason: str = ""
    host_ip: str = ""
    pod_ip: str = ""
    start_time: str | None = None
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


class Binding(Object):
    """`POST pods/NAME/binding` (or `bindings`): put pod `metadata.name` on node `target.name`."""

    KIND: ClassVar[str] = "Binding"
    target: ObjectReference = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.target = self.target or ObjectReference()


# -- replication controllers ---------------------------------------------------------------------------------------


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


# -- services and endpoints ----------------------------------------------------------------------------------------


class ServicePort(Part):
    name: str = ""
    protocol: str = ""
    port: Int32 | None = None
    target_port: Int32 | str | None = None
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


# -- nodes ---------------------------------------------------------------------------------------------------------


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
    capacity: dict[str, str | int] = {}
    allocatable: dict[str, str | int] = {}
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


# -- namespaces and events -----------------------------------------------------------------------------------------


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


class EventSource(Part):
    component: str = ""
    host: str = ""


class Event(Object):
    KIND: ClassVar[str] = "Event"
    involved_object: ObjectReference = shown(None)
    reason: str = ""
    message: str = ""
    source: EventSource = shown(None)
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    count: Int32 | None = None
    type: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.involved_object = self.involved_object or ObjectReference()
        self.source = self.source or EventSource()


# -- answers -------------------------------------------------------------------------------------------------------


class StatusCause(Part):
    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(Part):
    name: str = ""
    kind: str = ""
    uid: str = ""
    causes: list[StatusCause] = []
    retry_after_seconds: Int32 | None = None


class Status(Part):
    """The answer to what is not an object: an error, or the success of a deletion."""

    kind: str = shown("Status")
    api_version: str = shown("v1")
    metadata: ListMeta = shown(None)
    status: str = ""
    message: str = ""
    reason: str = ""
    details: StatusDetails | None = None
    code: Int32 = shown(0)

    def __post_init__(self) -> None:
        self.metadata = self.metadata or ListMeta()


class Preconditions(Part):
    uid: str | None = None
    resource_version: str | None = None


class DeleteOptions(Part):
    kind: str = ""
    api_version: str = ""
    grace_period_seconds: Int64 | None = None
    preconditions: Preconditions | None = None
    orphan_dependents: bool | None = None
    propagation_policy: str = ""
    dry_run: list[str] = []
