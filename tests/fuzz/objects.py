"""A small valid object of each kind."""

from __future__ import annotations

from typing import Any

KEPT_ADDRESS = "127.0.0.1"
KEPT_PORT = 9  # discard: nobody listens


def document(kind: str, name: str) -> dict[str, Any]:
    """A small, valid object of a kind."""
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": name}}, **_REST[kind](name)}


def _pod_spec(name: str) -> dict[str, Any]:
    return {"containers": [{"name": "c", "image": "redis"}], **({"nodeName": "kept"} if name == "kept" else {})}


_REST: dict[str, Any] = {
    "Namespace": lambda name: {},
    "Node": lambda name: {"status": {"addresses": [{"type": "InternalIP", "address": KEPT_ADDRESS}]}},
    "Pod": lambda name: {"spec": _pod_spec(name), "status": {"phase": "Running", "podIP": KEPT_ADDRESS}},
    "ReplicationController": lambda name: {"spec": {
        "replicas": 1, "selector": {"app": name},
        "template": {"metadata": {"labels": {"app": name}}, "spec": _pod_spec("")}}},
    "Service": lambda name: {"spec": {"ports": [{"port": KEPT_PORT}], "selector": {"app": name}}},
    "Endpoints": lambda name: {"subsets": [{"addresses": [{"ip": KEPT_ADDRESS}], "ports": [{"port": KEPT_PORT}]}]},
    "PodTemplate": lambda name: {"template": {"metadata": {"labels": {"app": name}}, "spec": _pod_spec("")}},
    "Secret": lambda name: {"data": {"key": "dmFsdWU="}},
    "ConfigMap": lambda name: {"data": {"KEY": "value"}},
    "ServiceAccount": lambda name: {},
    "Lease": lambda name: {"apiVersion": "coordination.k8s.io/v1", "spec": {
        "holderIdentity": name, "leaseDurationSeconds": 15, "renewTime": "2015-07-21T10:00:00.000000Z"}},
    "LimitRange": lambda name: {"spec": {"limits": [{"type": "Container", "max": {"cpu": "64"}}]}},
    "ResourceQuota": lambda name: {"spec": {"hard": {"secrets": "100000"}}},
    "PersistentVolume": lambda name: {"spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp"}}},
    "PersistentVolumeClaim": lambda name: {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    # what is sent below an object
    "Scale": lambda name: {"apiVersion": "autoscaling/v1", "spec": {"replicas": 2}},
    "Binding": lambda name: {"target": {"kind": "Node", "name": "kept"}},
    "Eviction": lambda name: {"apiVersion": "policy/v1", "deleteOptions": {"gracePeriodSeconds": 5}},
    "TokenRequest": lambda name: {"apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 3600}},
    "DeleteOptions": lambda name: {"gracePeriodSeconds": 0, "propagationPolicy": "Orphan", "preconditions": {}},
    "Event": lambda name: {"involvedObject": {"kind": "Pod", "name": name, "namespace": name}, "reason": "Fuzzed"},
}  # fmt: skip
