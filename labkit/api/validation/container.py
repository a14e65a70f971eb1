"""One container of a pod."""

from labkit.api.errors import Fault
from labkit.api.faults import duplicate, forbidden, invalid, not_found, not_supported, required
from labkit.api.names import C_IDENTIFIER, DATA_KEY, DNS_LABEL, PORT_NAME
from labkit.api.types import (
    Container,
    ContainerPort,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    Handler,
    HTTPGetAction,
    KeySelector,
    Probe,
    SecurityContext,
    TCPSocketAction,
    VolumeMount,
)
from labkit.api.validation.field_reference import ENV_PATHS, field_reference_faults
from labkit.api.validation.resources import requirement_faults

PROTOCOLS = ("TCP", "UDP")
PORT_RANGE = "must be greater than 0 and less than 65536"
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


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
    found += _env_from_faults(container.env_from, f"{path}.envFrom")
    found += _mount_faults(container.volume_mounts, volumes, f"{path}.volumeMounts")
    if not container.image_pull_policy:
        found.append(required(f"{path}.imagePullPolicy"))
    elif container.image_pull_policy not in PULL_POLICIES:
        found.append(not_supported(f"{path}.imagePullPolicy", container.image_pull_policy, PULL_POLICIES))
    found += requirement_faults(container.resources, f"{path}.resources")
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
            found += _value_from_faults(variable, variable.value_from, f"{field}.valueFrom")
    return found


def _value_from_faults(variable: EnvVar, source: EnvVarSource, path: str) -> list[Fault]:
    """One source, and then no value beside it. None at all is accepted, as by the original."""
    found: list[Fault] = []
    given = 0
    if source.field_ref:
        given += 1
        found += field_reference_faults(source.field_ref, ENV_PATHS, f"{path}.fieldRef")
    if source.config_map_key_ref:
        given += 1
        found += _key_faults(source.config_map_key_ref, f"{path}.configMapKeyRef")
    if source.secret_key_ref:
        given += 1
        found += _key_faults(source.secret_key_ref, f"{path}.secretKeyRef")
    if variable.value and given:
        found.append(invalid(path, "", "sources cannot be specified when value is not empty"))
    elif given > 1:
        found.append(invalid(path, "", "may not have more than one field specified at a time"))
    return found


def _key_faults(selector: KeySelector, path: str) -> list[Fault]:
    found = [] if selector.name else [required(f"{path}.name")]
    if not selector.key:
        found.append(required(f"{path}.key"))
    elif why := DATA_KEY.fault(selector.key):
        found.append(invalid(f"{path}.key", selector.key, why))
    return found


def _env_from_faults(sources: list[EnvFromSource], path: str) -> list[Fault]:
    """Each is all of one Secret or of one ConfigMap."""
    found = []
    for index, one in enumerate(sources):
        field = f"{path}[{index}]"
        if one.prefix and (why := C_IDENTIFIER.fault(one.prefix)):
            found.append(invalid(f"{field}.prefix", one.prefix, why))
        if one.config_map_ref and not one.config_map_ref.name:
            found.append(required(f"{field}.configMapRef.name"))
        if one.secret_ref and not one.secret_ref.name:
            found.append(required(f"{field}.secretRef.name"))
        if one.config_map_ref is None and one.secret_ref is None:
            found.append(invalid(field, "", "must specify one of: `configMapRef` or `secretRef`"))
        if one.config_map_ref and one.secret_ref:
            found.append(invalid(field, "", "may not have more than one field specified at a time"))
    return found


def _mount_faults(mounts: list[VolumeMount], volumes: set[str], path: str) -> list[Fault]:
    found = []
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        if not mount.name:
            found.append(required(f"{path}[{index}].name"))
        elif mount.name not in volumes:
            found.append(not_found(f"{path}[{index}].name", mount.name))
        if not mount.mount_path:
            found.append(required(f"{path}[{index}].mountPath"))
        elif mount.mount_path in paths:
            found.append(invalid(f"{path}[{index}].mountPath", mount.mount_path, "must be unique"))
        paths.add(mount.mount_path)
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


def _security_faults(context: SecurityContext | None, path: str) -> list[Fault]:
    if context is None:
        return []
    found = []
    if context.privileged:  # the original's --allow-privileged is off by default
        found.append(forbidden(f"{path}.privileged", True))
    if context.run_as_user is not None and context.run_as_user < 0:
        found.append(invalid(f"{path}.runAsUser", context.run_as_user, "runAsUser cannot be negative"))
    return found
