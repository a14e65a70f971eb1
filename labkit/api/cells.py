"""What the columns of a table show: one function per cell that is more than a field."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from labkit.api.durations import UNKNOWN, age
from labkit.api.types import (
    ComponentCondition,
    ComponentStatus,
    Container,
    ContainerState,
    Endpoints,
    EndpointSlice,
    Event,
    Node,
    NodeSystemInfo,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodTemplateSpec,
    ResourceQuota,
    Service,
    ServicePort,
)

_SHOWN_ENDPOINTS = 3
_LIMITS = "limits."
_ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX"}
_ROLE = "node-role.kubernetes.io/"


# -- pod ---------------------------------------------------------------------------------------------------------------


def pod_ready(pod: Pod) -> str:
    """Ready containers of all: `1/2`."""
    return f"{sum(status.ready for status in pod.status.container_statuses)}/{len(pod.spec.containers)}"


def pod_status(pod: Pod) -> str:
    """The most telling word: the phase, unless a container waits or has ended, or the pod is being deleted."""
    word = pod.status.reason or pod.status.phase or "Unknown"
    running = False
    for status in reversed(pod.status.container_statuses):
        word = _container_state(status.state) or word
        running = running or bool(status.state.running and status.ready)
    if word == "Completed" and running:
        word = "Running"
    if pod.metadata.deletion_timestamp:
        return "Unknown" if pod.status.reason == "NodeLost" else "Terminating"
    return word


def _container_state(state: ContainerState) -> str:
    if state.waiting and state.waiting.reason:
        return state.waiting.reason
    if ended := state.terminated:
        return ended.reason or (f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exit_code}")
    return ""


def pod_restarts(pod: Pod, now: datetime) -> str:
    """How often, and when last: `3 (2m ago)`."""
    statuses = pod.status.container_statuses
    count = sum(status.restart_count for status in statuses)
    ends = [status.last_state.terminated.finished_at or "" for status in statuses if status.last_state.terminated]
    last = max(ends, default="")
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


# -- templates of pods, and selectors ----------------------------------------------------------------------------------


def container_names(template: PodTemplateSpec | None) -> str:
    return ",".join(container.name for container in _containers(template))


def container_images(template: PodTemplateSpec | None) -> str:
    return ",".join(container.image for container in _containers(template))


def _containers(template: PodTemplateSpec | None) -> list[Container]:
    return template.spec.containers if template else []


def selector(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


# -- service -----------------------------------------------------------------------------------------------------------


def service_external_ip(service: Service) -> str:
    """What reaches it from outside; a load balancer that has no address yet is pending."""
    spec = service.spec
    balanced = [ingress.ip or ingress.hostname for ingress in service.status.load_balancer.ingress]
    addresses = balanced if spec.type == "LoadBalancer" else []
    addresses = addresses + spec.deprecated_public_ips + spec.external_ips
    return ",".join(addresses) or ("<pending>" if spec.type == "LoadBalancer" else "<none>")


def service_ports(service: Service) -> str:
    """`6379/TCP,80:30080/TCP`."""
    return ",".join(map(_service_port, service.spec.ports)) or "<none>"


def _service_port(port: ServicePort) -> str:
    number = f"{port.port}:{port.node_port}" if port.node_port else str(port.port)
    return f"{number}/{port.protocol}"


# -- endpoints ---------------------------------------------------------------------------------------------------------


def endpoint_addresses(endpoints: Endpoints) -> str:
    """`10.244.2.5:6379,10.244.3.7:6379 + 2 more...`."""
    every = [
        f"{address.ip}:{port.port}"
        for subset in endpoints.subsets
        for port in subset.ports
        for address in subset.addresses
    ]
    more = f" + {len(every) - _SHOWN_ENDPOINTS} more..." if len(every) > _SHOWN_ENDPOINTS else ""
    return (",".join(every[:_SHOWN_ENDPOINTS]) or "<none>") + more


def slice_ports(piece: EndpointSlice) -> str:
    """`6379,6380`."""
    return ",".join(str(port.port) for port in piece.ports) or "<unset>"


def slice_addresses(piece: EndpointSlice) -> str:
    """`10.244.2.5,10.244.3.7 + 2 more...`."""
    every = [address for endpoint in piece.endpoints for address in endpoint.addresses]
    more = f" + {len(every) - _SHOWN_ENDPOINTS} more..." if len(every) > _SHOWN_ENDPOINTS else ""
    return (",".join(every[:_SHOWN_ENDPOINTS]) or "<unset>") + more


# -- node --------------------------------------------------------------------------------------------------------------


def node_status(node: Node) -> str:
    """`Ready`, `NotReady`, `Unknown`; with `,SchedulingDisabled` when it is cordoned."""
    ready = next((condition.status for condition in node.status.conditions if condition.type == "Ready"), None)
    word = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    return f"{word},SchedulingDisabled" if node.spec.unschedulable else word


def node_roles(node: Node) -> str:
    """From labels `node-role.kubernetes.io/NAME` and `kubernetes.io/role=NAME`."""
    labels = node.metadata.labels
    names = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} | {labels.get("kubernetes.io/role")}
    return ",".join(sorted(name for name in names if name)) or "<none>"


def node_address(node: Node, *types: str) -> str:
    """The first address of the first of these types that the node has."""
    for wanted in types:
        for one in node.status.addresses:
            if one.type == wanted:
                return one.address
    return "<none>"


def node_info(node: Node) -> NodeSystemInfo:
    return node.status.node_info or NodeSystemInfo()


# -- quotas and storage ------------------------------------------------------------------------------------------------


def quota_requests(quota: ResourceQuota) -> str:
    """`cpu: 1/4, pods: 3/10`: used of what there may be."""
    return _used(quota, [name for name in quota.spec.hard if not name.startswith(_LIMITS)])


def quota_limits(quota: ResourceQuota) -> str:
    return _used(quota, [name for name in quota.spec.hard if name.startswith(_LIMITS)])


def _used(quota: ResourceQuota, names: list[str]) -> str:
    used = quota.status.used
    return ", ".join(f"{name}: {used.get(name, '0')}/{quota.spec.hard[name]}" for name in sorted(names))


def access_modes(modes: list[str]) -> str:
    """`RWO,ROX`: every mode once, in one order."""
    return ",".join(short for mode, short in _ACCESS_MODES.items() if mode in modes)


def volume_status(one: PersistentVolume | PersistentVolumeClaim) -> str:
    return "Terminating" if one.metadata.deletion_timestamp else one.status.phase


def volume_claim(volume: PersistentVolume) -> str:
    """`default/data`: whom it is bound to."""
    claim = volume.spec.claim_ref
    return f"{claim.namespace}/{claim.name}" if claim else ""


# -- components --------------------------------------------------------------------------------------------------------


def component_health(component: ComponentStatus) -> ComponentCondition:
    return next((one for one in component.conditions if one.type == "Healthy"), ComponentCondition(status="Unknown"))


def component_status(component: ComponentStatus) -> str:
    """`Healthy`, `Unhealthy` or `Unknown`."""
    return {"True": "Healthy", "False": "Unhealthy"}.get(component_health(component).status, "Unknown")


# -- event -------------------------------------------------------------------------------------------------------------


def event_last_seen(event: Event, now: datetime) -> str:
    return _seen(event.last_timestamp or event.first_timestamp, now)


def event_first_seen(event: Event, now: datetime) -> str:
    return _seen(event.first_timestamp, now)


def _seen(timestamp: str | None, now: datetime) -> str:
    return age(timestamp, now) if timestamp else UNKNOWN


def event_type(event: Event) -> str:
    """Events of 1.0 have no type; today's are Normal or Warning."""
    return event.type or "Normal"


def event_object(event: Event) -> str:
    """`pod/redis-master-x1y2z`."""
    return f"{event.involved_object.kind.lower()}/{event.involved_object.name}"


def event_source(event: Event) -> str:
    """`kubelet, agent1`."""
    return ", ".join(part for part in (event.source.component, event.source.host) if part)


# -- usage -------------------------------------------------------------------------------------------------------------

_UNITS = {"cpu": "n", "memory": "Ki"}


def used(usages: Sequence[Mapping[str, str | int | float]], resource: str) -> str:
    """The sum, in the unit that metrics are told in: billionths of a core, 1024 bytes."""
    unit = _UNITS[resource]
    return f"{sum(int(str(usage[resource]).removesuffix(unit)) for usage in usages)}{unit}"
