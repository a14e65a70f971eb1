"""The environment of a container: how a pod finds the services that were there before it.

Each service of the pod's namespace, and the Service `kubernetes` of namespace default, is written down as variables
(redis-master at 10.0.0.11:6379):

    REDIS_MASTER_SERVICE_HOST=10.0.0.11               REDIS_MASTER_PORT_6379_TCP=tcp://10.0.0.11:6379
    REDIS_MASTER_SERVICE_PORT=6379                    REDIS_MASTER_PORT_6379_TCP_PROTO=tcp
    REDIS_MASTER_PORT=tcp://10.0.0.11:6379            REDIS_MASTER_PORT_6379_TCP_PORT=6379
                                                      REDIS_MASTER_PORT_6379_TCP_ADDR=10.0.0.11

They are written once, when the container is made: a service that comes later is unknown to it, which is what DNS is
for. Source: Kubernetes 0.18, pkg/kubelet/envvars and third_party/golang/expansion.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from labkit.api.types import Container, Pod, Service

Variables = list[tuple[str, str]]

MASTER_NAMESPACE = "default"
MASTER_SERVICES = ("kubernetes",)

# $$ is an escaped $, $(NAME) a reference; a $ before anything else is only a $.
_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


def env_for_services(services: Iterable[Service], namespace: str) -> Variables:
    """The variables of every service that a pod of this namespace is told of, in the services' order."""
    known = {}
    for service in services:
        meta = service.metadata
        master = meta.namespace == MASTER_NAMESPACE and meta.name in MASTER_SERVICES
        if not _has_address(service) or not (master or meta.namespace == namespace):
            continue
        if meta.name not in known or meta.namespace == namespace:  # the pod's own namespace wins
            known[meta.name] = service
    return [variable for service in known.values() for variable in variables_of(service)]


def variables_of(service: Service) -> Variables:
    """The variables of one service, in the original's order."""
    prefix = _variable_name(service.metadata.name)
    address, ports = service.spec.cluster_ip, service.spec.ports
    result = [(f"{prefix}_SERVICE_HOST", address), (f"{prefix}_SERVICE_PORT", str(ports[0].port))]
    result += [(f"{prefix}_SERVICE_PORT_{_variable_name(p.name)}", str(p.port)) for p in ports if p.name]
    for number, port in enumerate(ports):
        protocol = port.protocol or "TCP"
        url = f"{protocol.lower()}://{address}:{port.port}"
        name = f"{prefix}_PORT_{port.port}_{protocol.upper()}"
        if number == 0:
            result.append((f"{prefix}_PORT", url))
        result += [(name, url), (f"{name}_PROTO", protocol.lower())]
        result += [(f"{name}_PORT", str(port.port)), (f"{name}_ADDR", address)]
    return result


def env_of(container: Container, pod: Pod, pod_ip: str, services: Variables) -> Variables:
    """All that a container is told: its own variables, expanded, then those of the services that it did not set.

    ValueError for a source of values that this kubelet does not read.
    """
    if container.env_from:
        raise ValueError("envFrom is not offered: write the variables out, or use fieldRef")
    own_names = {variable.name for variable in container.env}
    told = {name: value for name, value in services if name not in own_names}
    own: dict[str, str] = {}
    for variable in container.env:
        source = variable.value_from
        if source is None:
            own[variable.name] = expand(variable.value, lookup(own, told))
        elif source.field_ref is not None:
            own[variable.name] = field_of(pod, pod_ip, source.field_ref.field_path)
        else:
            raise ValueError(f"env {variable.name}: valueFrom offers fieldRef alone")
    return [*own.items(), *told.items()]


def field_of(pod: Pod, pod_ip: str, path: str) -> str:
    """A field of the pod for one of its containers; ValueError for a path that is not offered."""
    fields: dict[str, str] = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "status.podIP": pod_ip,
    }
    if path not in fields:
        raise ValueError(f"unsupported fieldPath: {path} (supported: {', '.join(fields)})")
    return fields[path]


def lookup(*scopes: Mapping[str, str]) -> Callable[[str], str]:
    """How a reference is resolved: in the first scope that has it, and left as it stands where none has."""

    def resolve(name: str) -> str:
        return next((scope[name] for scope in scopes if name in scope), f"$({name})")

    return resolve


def expand(text: str, resolve: Callable[[str], str]) -> str:
    """`$(NAME)` becomes its value, `$$(NAME)` the text `$(NAME)`; unknown names stay."""
    return _REFERENCE.sub(lambda match: "$" if match[1] is None else resolve(match[1]), text)


def _has_address(service: Service) -> bool:
    """Headless services have none, and no variables."""
    return service.spec.cluster_ip not in ("", "None") and bool(service.spec.ports)


def _variable_name(name: str) -> str:
    return name.upper().replace("-", "_")
