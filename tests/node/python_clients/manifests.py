"""Objects that all three clients send, and what of each kind of API v1 a client may create."""

from typing import Any

CONTAINER = {"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}]}


def pod(name: str, **labels: str) -> dict[str, Any]:
    """One that nobody schedules: it stays as it is sent."""
    meta = {"name": name, "labels": {"app": "a", **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [CONTAINER]}}


def controller(name: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
    spec = {"replicas": 0, "selector": {"a": "b"}, "template": template}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


EVENT = {
    "involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"}, "reason": "tested", "message": "seen",
    "source": {"component": "test"}, "firstTimestamp": "2015-06-01T00:00:00Z", "lastTimestamp": "2015-06-01T00:00:00Z",
    "count": 1, "type": "Normal",
}  # fmt: skip

# What kubernetes-py calls a kind in its functions' names -> the rest of such an object.
NAMESPACED: dict[str, dict[str, Any]] = {
    "pod": {"spec": {"containers": [CONTAINER]}},
    "replication_controller": {"spec": controller("x")["spec"]},
    "service": {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 1}]}]},
    "config_map": {"data": {"a": "b"}},
    "secret": {"stringData": {"a": "b"}},
    "service_account": {},
    "limit_range": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    "resource_quota": {"spec": {"hard": {"services": "3"}}},
    "persistent_volume_claim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "pod_template": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}},
}
CLUSTER: dict[str, dict[str, Any]] = {
    "persistent_volume": {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
    },
    "node": {"spec": {"unschedulable": True}},
    "namespace": {},
}
