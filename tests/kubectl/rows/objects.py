"""The objects that rows start from."""

from typing import Any

Manifest = dict[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io~1last-applied-configuration"


def pod(name: str, *command: str, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
    container: Manifest = {"name": "c", "image": "redis"}
    if command:
        container["command"] = list(command)
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {"colour": "red"}},
        "spec": {"containers": [container], **spec},
    }  # fmt: skip


def rc(name: str, replicas: int = 1) -> Manifest:
    """Its pods have the label name=NAME."""
    labels = {"name": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "redis"}]}}
    spec = {"replicas": replicas, "selector": labels, "template": template}
    meta = {"name": name, "labels": {"colour": "red"}}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": meta, "spec": spec}


def service(name: str, selector: dict[str, str] | None = None, **spec: Any) -> Manifest:
    ports = [{"port": 80, "targetPort": 8080}]
    spec = {"ports": ports, **({"selector": selector} if selector else {}), **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def config(name: str, **data: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def lease(name: str, holder: str) -> Manifest:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "2015-07-21T10:00:00.000000Z"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def held(name: str, *finalizers: str) -> Manifest:
    """A config map that DELETE only marks."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "finalizers": list(finalizers)}}


def node(name: str) -> Manifest:
    """One that nobody runs: the scheduler leaves it alone."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def of_kind(kind: str, name: str, **rest: Any) -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **rest}
