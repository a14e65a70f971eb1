"""What a client may leave out: the v1 defaults, written into the object so that they are visible on the wire.

| where | default |
|---|---|
| pod | restartPolicy Always, dnsPolicy ClusterFirst; serviceAccount and serviceAccountName each fill the other |
| container | terminationMessagePath /dev/termination-log; imagePullPolicy IfNotPresent, Always for the tag `latest` |
| port | protocol TCP; with hostNetwork hostPort = containerPort |
| probe | timeoutSeconds 1, httpGet path / and scheme HTTP |
| volume | emptyDir when it names no source |
| fieldRef | apiVersion v1 |
| replication controller | replicas 1; selector and labels are the template's labels |
| service | type ClusterIP, sessionAffinity None, protocol TCP, targetPort = port, nodePort 0 is shown |
| endpoints | protocol TCP |
| namespace, node | phase Active; externalID = name |
| secret | type Opaque; stringData becomes data |
| persistent volume | persistentVolumeReclaimPolicy Retain; phase Pending, as of a claim |

There is no default for terminationGracePeriodSeconds: 1.0.7 has none (today's is 30). Source: pkg/api/v1/defaults.go of
Kubernetes 1.0. The functions change the object that they are given, which is always fresh from the decoder.
"""

from collections.abc import Callable
from typing import Any

from labkit.api import types
from labkit.api.types import (
    Container,
    EmptyDirVolumeSource,
    Endpoints,
    Handler,
    Namespace,
    Node,
    Object,
    ObjectFieldSelector,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    PodTemplate,
    ReplicationController,
    Secret,
    Service,
    Volume,
    VolumeSource,
    sources,
)

_SOURCES = sources(VolumeSource)


def set_defaults(obj: Object) -> None:
    """Fill in what is absent. An object that came without apiVersion gets no more than that, as in the original."""
    if obj.api_version and type(obj) in _TABLE:
        _TABLE[type(obj)](obj)
    obj.api_version = obj.api_version or "v1"


def _pod(pod: Pod) -> None:
    _pod_spec(pod.spec)


def _pod_spec(spec: PodSpec) -> None:
    spec.restart_policy = spec.restart_policy or "Always"
    spec.dns_policy = spec.dns_policy or "ClusterFirst"
    spec.service_account_name = spec.service_account = spec.service_account_name or spec.service_account
    spec.node_name, spec.host = spec.node_name or spec.host, ""
    for volume in spec.volumes:
        _volume(volume)
    for container in spec.containers:
        _container(container)
        if spec.host_network:
            for port in container.ports:
                port.host_port = port.host_port or port.container_port


def _volume(volume: Volume) -> None:
    if all(getattr(volume, source) is None for source in _SOURCES):
        volume.empty_dir = EmptyDirVolumeSource()
    for file in volume.downward_api.items if volume.downward_api else ():
        _field_reference(file.field_ref)


def _field_reference(reference: ObjectFieldSelector | None) -> None:
    if reference:
        reference.api_version = reference.api_version or "v1"


def _container(container: Container) -> None:
    container.termination_message_path = container.termination_message_path or "/dev/termination-log"
    if not container.image_pull_policy:
        latest = container.image.rpartition("/")[2].endswith(":latest")
        container.image_pull_policy = "Always" if latest else "IfNotPresent"
    for port in container.ports:
        port.protocol = port.protocol or "TCP"
    for variable in container.env:
        _field_reference(variable.value_from.field_ref if variable.value_from else None)
    for probe in (container.liveness_probe, container.readiness_probe):
        if probe:
            probe.timeout_seconds = probe.timeout_seconds or 1
            _handler(probe)
    if container.lifecycle:
        _handler(container.lifecycle.post_start)
        _handler(container.lifecycle.pre_stop)


def _handler(handler: Handler | None) -> None:
    if handler and handler.http_get:
        handler.http_get.path = handler.http_get.path or "/"
        handler.http_get.scheme = handler.http_get.scheme or "HTTP"


def _replication_controller(rc: ReplicationController) -> None:
    spec = rc.spec
    if spec.template:
        labels = spec.template.metadata.labels
        spec.selector = spec.selector or dict(labels)
        rc.metadata.labels = rc.metadata.labels or dict(labels)
        _pod_spec(spec.template.spec)
    if spec.replicas is None:
        spec.replicas = 1


def _pod_template(template: PodTemplate) -> None:
    _pod_spec(template.template.spec)


def _service(service: Service) -> None:
    spec = service.spec
    spec.session_affinity = spec.session_affinity or "None"
    spec.type = spec.type or "ClusterIP"
    spec.deprecated_public_ips = spec.deprecated_public_ips or spec.public_ips
    spec.public_ips = []
    for port in spec.ports:
        port.protocol = port.protocol or "TCP"
        port.target_port = port.target_port or port.port
        port.node_port = port.node_port or 0


def _endpoints(endpoints: Endpoints) -> None:
    for subset in endpoints.subsets:
        for port in subset.ports:
            port.protocol = port.protocol or "TCP"


def _namespace(namespace: Namespace) -> None:
    namespace.status.phase = namespace.status.phase or "Active"


def _node(node: Node) -> None:
    node.spec.external_id = node.spec.external_id or node.metadata.name


def _secret(secret: Secret) -> None:
    secret.data |= {key: text.encode() for key, text in secret.string_data.items()}
    secret.string_data = {}
    secret.type = secret.type or "Opaque"


def _persistent_volume(volume: PersistentVolume) -> None:
    policy = volume.spec.persistent_volume_reclaim_policy
    volume.spec.persistent_volume_reclaim_policy = policy or "Retain"
    volume.status.phase = volume.status.phase or "Pending"


def _persistent_volume_claim(claim: PersistentVolumeClaim) -> None:
    claim.status.phase = claim.status.phase or "Pending"


_TABLE: dict[type[Object], Callable[[Any], None]] = {
    types.Pod: _pod,
    types.ReplicationController: _replication_controller,
    types.Service: _service,
    types.Endpoints: _endpoints,
    types.Namespace: _namespace,
    types.Node: _node,
    types.PodTemplate: _pod_template,
    types.Secret: _secret,
    types.PersistentVolume: _persistent_volume,
    types.PersistentVolumeClaim: _persistent_volume_claim,
}
