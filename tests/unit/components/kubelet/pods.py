"""Pods and containers as literals, short enough to see what a test is about."""

from typing import Any

import msgspec

from labkit.api.types import Pod
from labkit.components.kubelet.plan import spec_hash
from labkit.components.kubelet.runtime import PAUSE, Container


def pod(*containers: str | dict[str, Any], name: str = "web", **fields: Any) -> Pod:
    """A pod of the named containers; fields are those of its spec, `metadata` and `status` apart."""
    specs = [c if isinstance(c, dict) else {"name": c, "image": "busybox"} for c in containers or ("c",)]
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}"} | fields.pop("metadata", {})
    status = fields.pop("status", {})
    spec = {"containers": specs, "restartPolicy": "Always", "nodeName": "n"} | fields
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, Pod)


def container(of: Pod, name: str = "c", state: str = "running", **fields: Any) -> Container:
    """A container of the pod: started at 100, ended at 110 where it has ended."""
    specs = {spec.name: spec_hash(spec) for spec in of.spec.containers}
    values: dict[str, Any] = {"id": f"{name}-{fields.get('attempt', 0)}", "created": 99.0, "hash": specs.get(name, "")}
    if state in ("running", "exited"):
        values["started"] = 100.0
    if state == "exited":
        values["finished"] = 110.0
    meta = of.metadata
    return Container(name=name, pod=f"{meta.namespace}/{meta.name}", pod_uid=meta.uid, state=state, **values | fields)


def pause(of: Pod, state: str = "running", **fields: Any) -> Container:
    return container(of, PAUSE, state, **{"created": 98.0, "ip": "10.244.2.5" if state == "running" else ""} | fields)
