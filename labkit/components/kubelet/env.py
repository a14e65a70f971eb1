"""The environment of a container: how a pod finds the services that were there before it.

Each service of the pod's namespace, and the Service `kubernetes` of namespace default, is written down as variables
(redis-master at 10.0.0.11:6379):

    REDIS_MASTER_SERVICE_HOST=10.0.0.11               REDIS_MASTER_PORT_6379_TCP=tcp://10.0.0.11:6379
    REDIS_MASTER_SERVICE_PORT=6379                    REDIS_MASTER_PORT_6379_TCP_PROTO=tcp
    REDIS_MASTER_PORT=tcp://10.0.0.11:6379            REDIS_MASTER_PORT_6379_TCP_PORT=6379
                                                      REDIS_MASTER_PORT_6379_TCP_ADDR=10.0.0.11

To these come the container's own: literals, keys of secrets and config maps, fields of the pod.
They are written once, when the container is made: a service that comes later is unknown to it, which is what DNS is
for. Source: Kubernetes 0.18, pkg/kubelet/envvars and third_party/golang/expansion.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from labkit.api.names import C_IDENTIFIER
from labkit.api.services import cluster_ip
from labkit.api.types import ConfigMap, Container, EnvFromSource, EnvVar, KeySelector, Pod, Secret, Service
from labkit.components.kubelet.fields import Addresses, field_for_variable
from labkit.components.kubelet.sources import Found, Reference
from labkit.components.kubelet.volume_files import data_of

Variables = list[tuple[str, str]]

_OR_OPTIONAL = "or set optional: true"

MASTER_NAMESPACE = "default"
MASTER_SERVICES = ("kubernetes",)

# $$ is an escaped $, $(NAME) a reference; a $ before anything else is only a $.
_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


class VariableFailure(Exception):
    """A variable has no value; the message names what is missing and what to do."""


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


def env_of(container: Container, pod: Pod, addresses: Addresses, services: Variables, found: Found) -> Variables:
    """All that a container is told: what it takes from secrets and config maps as a whole (envFrom), its own variables,
    expanded, and those of the services that it did not set. The later of two of one name wins.

    found: the secrets and config maps that it refers to. Raises VariableFailure.
    """
    own = {name: text for source in container.env_from for name, text in _all_of(source, found)[0]}
    told = {name: text for name, text in services if name not in {variable.name for variable in container.env}}
    for variable in container.env:
        text = _value(variable, pod, addresses, found, lookup(own, told))
        own.pop(variable.name, None)  # its place is among the container's own
        if text is not None:
            own[variable.name] = text
    return [*own.items(), *((name, text) for name, text in told.items() if name not in own)]


def skipped_keys(container: Container, found: Found) -> list[str]:
    """Keys that envFrom cannot make variables of, `bad-key of configmap "m"`."""
    return [key for source in container.env_from for key in _all_of(source, found)[1]]


def _all_of(source: EnvFromSource, found: Found) -> tuple[Variables, list[str]]:
    """The variables of one whole secret or config map in the order of their names, and the keys left out."""
    if source.secret_ref:
        reference, optional = Reference(Secret, source.secret_ref.name), source.secret_ref.optional
    else:
        assert source.config_map_ref is not None
        reference, optional = Reference(ConfigMap, source.config_map_ref.name), source.config_map_ref.optional
    data = _data(reference, found, bool(optional))
    named = [(source.prefix + key, key) for key in sorted(data)]
    variables = [(name, _text(data[key], reference, key)) for name, key in named if not C_IDENTIFIER.fault(name)]
    return variables, [f"{key} of {reference}" for name, key in named if C_IDENTIFIER.fault(name)]


def _value(variable: EnvVar, pod: Pod, addresses: Addresses, found: Found, resolve: Callable[[str], str]) -> str | None:
    """The value of one of the container's own variables; None for an optional one that is not there."""
    source = variable.value_from
    if source is None:
        return expand(variable.value, resolve)
    if source.secret_key_ref:
        return _key(source.secret_key_ref, Reference(Secret, source.secret_key_ref.name), found)
    if source.config_map_key_ref:
        return _key(source.config_map_key_ref, Reference(ConfigMap, source.config_map_key_ref.name), found)
    if source.field_ref is None:
        return ""  # a source that names none is accepted, as by the original
    try:
        return field_for_variable(pod, addresses, source.field_ref.field_path)
    except ValueError as exc:
        raise VariableFailure(f"env {variable.name}: {exc}") from exc


def _key(selector: KeySelector, reference: Reference, found: Found) -> str | None:
    data = _data(reference, found, bool(selector.optional))
    if selector.key in data:
        return _text(data[selector.key], reference, selector.key)
    if selector.optional:
        return None
    known = ", ".join(sorted(data)) or "none"
    raise VariableFailure(f"couldn't find key {selector.key} in {reference} (there: {known}): add it, {_OR_OPTIONAL}")


def _data(reference: Reference, found: Found, optional: bool) -> Mapping[str, bytes]:
    source = found.get(reference)
    if source is not None:
        return data_of(source)
    if optional:
        return {}
    raise VariableFailure(f"{reference} not found: create it, {_OR_OPTIONAL}")


def _text(value: bytes, reference: Reference, key: str) -> str:
    """A variable is a string of C: no zero byte, and no other bytes than those of a text."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise VariableFailure(f"key {key} of {reference} is not a text: mount it as a file (a volume)")
    return text


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
    return bool(cluster_ip(service) and service.spec.ports)


def _variable_name(name: str) -> str:
    return name.upper().replace("-", "_")
