"""One container of a pod."""

from labkit.api import quantity
from labkit.api.errors import Fault
from labkit.api.faults import duplicate, forbidden, invalid, not_found, not_supported, required
from labkit.api.names import C_IDENTIFIER, DNS_LABEL, PORT_NAME, QUALIFIED_NAME
from labkit.api.types import (
    Container,
    ContainerPort,
    EnvVar,
    Handler,
    HTTPGetAction,
    Probe,
    SecurityContext,
    TCPSocketAction,
    VolumeMount,
)

PROTOCOLS = ("TCP", "UDP")
PORT_RANGE = "must be greater than 0 and less than 65536"
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
FIELD_PATHS = ("metadata.name", "metadata.namespace", "status.podIP")
STANDARD_RESOURCES = frozenset(
    ["cpu", "memory", "storage", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets",
     "persistentvolumeclaims"]
)  # fmt: skip


def is_port(number: int | None) -> bool:
    return number is not None and 0 < number < 65536


def faults(container: Container, volumes: set[str], path: str) -> list[Fault]:
    """volumes: the names that the pod has; path: `spec.containers[0]`."""
    found: list[Fault] = []
    if not container.name:
        found.append(required(f"{path}.name"))
    elif why := DNS_LABEL.fault(container.name):
        found.append(invalid(f"{path}.name", container.name, why))
    if not container.image:
        found.append(required(f"{path}.image"))
    found += _lifecycle_faults(container, path)
    found += _probe_faults(container.liveness_probe, f"{path}.livenessProbe")
    found += _probe_faults(container.readiness_probe, f"{path}.readinessProbe")
    found += _port_faults(container.ports, f"{path}.ports")
    found += _env_faults(container.env, f"{path}.env")
    found += _mount_faults(container.volume_mounts, volumes, f"{path}.volumeMounts")
    if not container.image_pull_policy:
        found.append(required(f"{path}.imagePullPolicy"))
    elif container.image_pull_policy not in PULL_POLICIES:
        found.append(not_supported(f"{path}.imagePullPolicy", container.image_pull_policy, PULL_POLICIES))
    found += _resource_faults(container.resources.limits, f"{path}.resources.limits")
    found += _resource_faults(container.resources.requests, f"{path}.resources.requests")
    return found + _security_faults(container.security_context, f"{path}.securityContext")


def _port_faults(ports: list[ContainerPort], path: str) -> list[Fault]:
    found: list[Fault] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        field = f"{path}[{index}]"
        if port.name and (why := PORT_NAME.fault(port.name)):
            found.append(invalid(f"{field}.name", port.name, why))
        elif port.name in names:
            found.append(duplicate(f"{field}.name", port.name))
        elif port.name:
            names.add(port.name)
        if not is_port(port.container_port):
            found.append(invalid(f"{field}.containerPort", port.container_port or 0, PORT_RANGE))
        if port.host_port and not is_port(port.host_port):
            found.append(invalid(f"{field}.hostPort", port.host_port, PORT_RANGE))
        if not port.protocol:
            found.append(required(f"{field}.protocol"))
        elif port.protocol not in PROTOCOLS:
            found.append(not_supported(f"{field}.protocol", port.protocol, PROTOCOLS))
    return found


def _env_faults(env: list[EnvVar], path: str) -> list[Fault]:
    found = []
    for index, variable in enumerate(env):
        field = f"{path}[{index}]"
        if not variable.name:
            found.append(required(f"{field}.name"))
        elif why := C_IDENTIFIER.fault(variable.name):
            found.append(invalid(f"{field}.name", variable.name, why))
        if variable.value_from:
            found += _value_from_faults(variable, f"{field}.valueFrom")
    return found


def _value_from_faults(variable: EnvVar, path: str) -> list[Fault]:
    reference = variable.value_from.field_ref if variable.value_from else None
    if reference is None:
        return []
    found = []
    if not reference.api_version:
        found.append(required(f"{path}.fieldRef.apiVersion"))
    elif not reference.field_path:
        found.append(required(f"{path}.fieldRef.fieldPath"))
    elif reference.field_path not in FIELD_PATHS:
        found.append(not_supported(f"{path}.fieldRef.fieldPath", reference.field_path, FIELD_PATHS))
    if variable.value:
        found.append(invalid(path, "", "sources cannot be specified when value is not empty"))
    return found


def _mount_faults(mounts: list[VolumeMount], volumes: set[str], path: str) -> list[Fault]:
    found = []
    for index, mount in enumerate(mounts):
        if not mount.name:
            found.append(required(f"{path}[{index}].name"))
        elif mount.name not in volumes:
            found.append(not_found(f"{path}[{index}].name", mount.name))
        if not mount.mount_path:
            found.append(required(f"{path}[{index}].mountPath"))
    return found


def _lifecycle_faults(container: Container, path: str) -> list[Fault]:
    if not container.lifecycle:
        return []
    found = []
    for name, handler in (("postStart", container.lifecycle.post_start), ("preStop", container.lifecycle.pre_stop)):
        if handler:
            found += _handler_faults(handler, f"{path}.lifecycle.{name}")
    return found


def _probe_faults(probe: Probe | None, path: str) -> list[Fault]:
    if probe is None:
        return []
    found = _handler_faults(probe, path)
    for name, seconds in (
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
    ):
        if (seconds or 0) < 0:
            found.append(invalid(f"{path}.{name}", seconds, "may not be less than zero"))
    return found


def _handler_faults(handler: Handler, path: str) -> list[Fault]:
    """Exactly one of exec, httpGet and tcpSocket."""
    found = []
    if handler.exec and not handler.exec.command:
        found.append(required(f"{path}.exec.command"))
    if http := handler.http_get:
        if not http.path:
            found.append(required(f"{path}.httpGet.path"))
        found += _handler_port_faults(http, f"{path}.httpGet.port")
        if http.scheme not in ("HTTP", "HTTPS"):
            why = "must be one of [HTTP HTTPS]"
            found.append(invalid(f"{path}.httpGet.scheme", http.scheme, why))
    if handler.tcp_socket:
        found += _handler_port_faults(handler.tcp_socket, f"{path}.tcpSocket.port")
    if sum(action is not None for action in (handler.exec, handler.http_get, handler.tcp_socket)) != 1:
        found.append(invalid(path, handler, "exactly 1 handler type is required"))
    return found


def _handler_port_faults(action: HTTPGetAction | TCPSocketAction, path: str) -> list[Fault]:
    port = action.port
    if isinstance(port, str):
        if why := PORT_NAME.fault(port):
            return [invalid(path, port, why)]
        return []
    return [] if is_port(port) else [invalid(path, port or 0, PORT_RANGE)]


def _resource_faults(amounts: dict[str, str | int | float], path: str) -> list[Fault]:
    found = []
    for name, amount in amounts.items():
        field = f"{path}[{name}]"
        if why := QUALIFIED_NAME.fault(name):
            found.append(invalid(field, name, f"resource typename: {why}"))
        elif "/" not in name and name not in STANDARD_RESOURCES:
            why = "is neither a standard resource type nor is fully qualified"
            found.append(invalid(field, name, why))
        if name in STANDARD_RESOURCES and quantity.parse(amount) < 0:
            found.append(invalid(field, amount, "must be a valid resource quantity"))
    return found


def _security_faults(context: SecurityContext | None, path: str) -> list[Fault]:
    if context is None:
        return []
    found = []
    if context.privileged:  # the original's --allow-privileged is off by default
        found.append(forbidden(f"{path}.privileged", True))
    if context.run_as_user is not None and context.run_as_user < 0:
        found.append(invalid(f"{path}.runAsUser", context.run_as_user, "runAsUser cannot be negative"))
    return found
