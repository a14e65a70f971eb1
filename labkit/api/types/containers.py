"""One container of a pod: what runs in it, with what environment, files, ports and limits, and how it is probed."""

from labkit.api.types.part import Int32, Int64, IntOrString, Part, Quantity, shown
from labkit.api.types.volumes import ObjectFieldSelector, VolumeMount


class ContainerPort(Part):
    name: str = ""
    host_port: Int32 | None = None
    container_port: Int32 | None = None
    protocol: str = ""
    host_ip: str = ""


class KeySelector(Part):
    """One key of the Secret or ConfigMap `name`."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class SecretKeySelector(KeySelector):
    """One key of a Secret."""


class ConfigMapKeySelector(KeySelector):
    """One key of a ConfigMap."""


class EnvVarSource(Part):
    field_ref: ObjectFieldSelector | None = None
    secret_key_ref: SecretKeySelector | None = None
    config_map_key_ref: ConfigMapKeySelector | None = None


class EnvVar(Part):
    name: str = ""
    value: str = ""
    value_from: EnvVarSource | None = None


class EnvSource(Part):
    """All of the Secret or ConfigMap `name`."""

    name: str = ""
    optional: bool | None = None


class SecretEnvSource(EnvSource):
    """All keys of a Secret."""


class ConfigMapEnvSource(EnvSource):
    """All keys of a ConfigMap."""


class EnvFromSource(Part):
    prefix: str = ""
    config_map_ref: ConfigMapEnvSource | None = None
    secret_ref: SecretEnvSource | None = None


class ResourceRequirements(Part):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}


class ExecAction(Part):
    command: list[str] = []


class HTTPGetAction(Part):
    path: str = ""
    port: IntOrString | None = None
    host: str = ""
    scheme: str = ""


class TCPSocketAction(Part):
    port: IntOrString | None = None


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
    env_from: list[EnvFromSource] = []
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
