"""The objects that the loads make: a pod of some 1.5 kB, as its JSON is stored."""

from __future__ import annotations

import json
from typing import Any


def pod(name: str, app: str = "web", node: str = "") -> bytes:
    """Two containers with variables, ports and limits, as a pod of a real manifest has them."""
    document: dict[str, Any] = {
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"app": app, "tier": "backend", "track": "stable"}},
        "spec": {"containers": [_container("main", 8080), _container("sidecar", 9090)], "restartPolicy": "Always"},
    }  # fmt: skip
    if node:
        document["spec"]["nodeName"] = node
    return json.dumps(document, separators=(",", ":")).encode()


def _container(name: str, port: int) -> dict[str, Any]:
    return {
        "name": name, "image": f"registry.cluster.local:5000/team/{name}:v1.4.2",
        "command": [f"/usr/bin/{name}", "--listen", f"0.0.0.0:{port}"],
        "env": [{"name": "REDIS_MASTER_SERVICE_HOST", "value": "10.0.0.11"}, {"name": "HOSTS_FROM", "value": "dns"}],
        "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
    }  # fmt: skip
