"""Tables, as `kubectl get` prints them: the server chooses columns and cells, kubectl only aligns them.

One row of `_COLUMNS` per kind; a column with priority 1 is shown by `-o wide` only. Ages are computed when the table is
made. Source: meta.k8s.io/v1 Table, and the columns that kubectl's users know.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from labkit.api import cells
from labkit.api.durations import age
from labkit.api.kinds import Resource
from labkit.api.types import Object

CONTENT_TYPE = "application/json;as=Table;v=v1;g=meta.k8s.io"
Include = Literal["None", "Metadata", "Object"]

NONE = "<none>"


class Column(msgspec.Struct, frozen=True):
    """One column: its heading, and what it shows of an object at a time (an aware datetime)."""

    name: str
    cell: Callable[[Any, datetime], Any]
    priority: int = 0
    type: str = "string"


def _of(read: Callable[[Any], Any]) -> Callable[[Any, datetime], Any]:
    return lambda obj, now: read(obj)


def _wide(name: str, read: Callable[[Any], Any]) -> Column:
    return Column(name, _of(read), priority=1)


_NAME = Column("Name", _of(lambda obj: obj.metadata.name))
_AGE = Column("Age", lambda obj, now: age(obj.metadata.creation_timestamp, now))

_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Pod": (
        _NAME,
        Column("Ready", _of(cells.pod_ready)),
        Column("Status", _of(cells.pod_status)),
        Column("Restarts", cells.pod_restarts),
        _AGE,
        _wide("IP", lambda one: one.status.pod_ip or NONE),
        _wide("Node", lambda one: one.spec.node_name or NONE),
        _wide("Nominated Node", lambda one: NONE),
        _wide("Readiness Gates", lambda one: NONE),
    ),
    "ReplicationController": (
        _NAME,
        Column("Desired", _of(lambda rc: rc.spec.replicas or 0), type="integer"),
        Column("Current", _of(lambda rc: rc.status.replicas), type="integer"),
        Column("Ready", _of(lambda rc: rc.status.ready_replicas or 0), type="integer"),
        _AGE,
        _wide("Containers", lambda rc: cells.container_names(rc.spec.template)),
        _wide("Images", lambda rc: cells.container_images(rc.spec.template)),
        _wide("Selector", lambda rc: cells.selector(rc.spec.selector)),
    ),
    "Service": (
        _NAME,
        Column("Type", _of(lambda one: one.spec.type)),
        Column("Cluster-IP", _of(lambda one: one.spec.cluster_ip or NONE)),
        Column("External-IP", _of(cells.service_external_ip)),
        Column("Port(s)", _of(cells.service_ports)),
        _AGE,
        _wide("Selector", lambda one: cells.selector(one.spec.selector)),
    ),
    "Endpoints": (_NAME, Column("Endpoints", _of(cells.endpoint_addresses)), _AGE),
    "Node": (
        _NAME,
        Column("Status", _of(cells.node_status)),
        Column("Roles", _of(cells.node_roles)),
        _AGE,
        Column("Version", _of(lambda one: cells.node_info(one).kubelet_version)),
        _wide("Internal-IP", lambda one: cells.node_address(one, "InternalIP", "LegacyHostIP")),
        _wide("External-IP", lambda one: cells.node_address(one, "ExternalIP")),
        _wide("OS-Image", lambda one: cells.node_info(one).os_image or "<unknown>"),
        _wide("Kernel-Version", lambda one: cells.node_info(one).kernel_version or "<unknown>"),
        _wide("Container-Runtime", lambda one: cells.node_info(one).container_runtime_version or "<unknown>"),
    ),
    "Namespace": (_NAME, Column("Status", _of(lambda one: one.status.phase)), _AGE),
    "PodTemplate": (
        _NAME,
        Column("Containers", _of(lambda one: cells.container_names(one.template))),
        Column("Images", _of(lambda one: cells.container_images(one.template))),
        Column("Pod Labels", _of(lambda one: cells.selector(one.template.metadata.labels))),
    ),
    "Secret": (
        _NAME,
        Column("Type", _of(lambda one: one.type)),
        Column("Data", _of(lambda one: len(one.data)), type="integer"),
        _AGE,
    ),
    "ConfigMap": (
        _NAME,
        Column("Data", _of(lambda one: len(one.data) + len(one.binary_data)), type="integer"),
        _AGE,
    ),
    "Lease": (_NAME, Column("Holder", _of(lambda one: one.spec.holder_identity)), _AGE),
    "ServiceAccount": (_NAME, Column("Secrets", _of(lambda one: len(one.secrets)), type="integer"), _AGE),
    "LimitRange": (_NAME, Column("Created At", _of(lambda one: one.metadata.creation_timestamp), type="date")),
    "ResourceQuota": (
        _NAME,
        Column("Request", _of(cells.quota_requests)),
        Column("Limit", _of(cells.quota_limits)),
        _AGE,
    ),
    "PersistentVolume": (
        _NAME,
        Column("Capacity", _of(lambda one: one.spec.capacity.get("storage", ""))),
        Column("Access Modes", _of(lambda one: cells.access_modes(one.spec.access_modes))),
        Column("Reclaim Policy", _of(lambda one: one.spec.persistent_volume_reclaim_policy)),
        Column("Status", _of(cells.volume_status)),
        Column("Claim", _of(cells.volume_claim)),
        Column("StorageClass", _of(lambda one: "")),
        Column("Reason", _of(lambda one: one.status.reason)),
        _AGE,
        _wide("VolumeMode", lambda one: "Filesystem"),
    ),
    "PersistentVolumeClaim": (
        _NAME,
        Column("Status", _of(cells.volume_status)),
        Column("Volume", _of(lambda one: one.spec.volume_name)),
        Column("Capacity", _of(lambda one: one.status.capacity.get("storage", "") if one.spec.volume_name else "")),
        Column("Access Modes", _of(lambda one: cells.access_modes(one.status.access_modes))),
        Column("StorageClass", _of(lambda one: "")),
        _AGE,
        _wide("VolumeMode", lambda one: "Filesystem"),
    ),
    "ComponentStatus": (
        _NAME,
        Column("Status", _of(cells.component_status)),
        Column("Message", _of(lambda one: cells.component_health(one).message)),
        Column("Error", _of(lambda one: cells.component_health(one).error)),
    ),
    "EndpointSlice": (
        _NAME,
        Column("AddressType", _of(lambda one: one.address_type)),
        Column("Ports", _of(cells.slice_ports)),
        Column("Endpoints", _of(cells.slice_addresses)),
        _AGE,
    ),
    "NodeMetrics": (
        _NAME,
        Column("CPU", _of(lambda one: cells.used([one.usage], "cpu"))),
        Column("Memory", _of(lambda one: cells.used([one.usage], "memory"))),
        Column("Window", _of(lambda one: one.window)),
    ),
    "PodMetrics": (
        _NAME,
        Column("CPU", _of(lambda one: cells.used([each.usage for each in one.containers], "cpu"))),
        Column("Memory", _of(lambda one: cells.used([each.usage for each in one.containers], "memory"))),
        Column("Window", _of(lambda one: one.window)),
    ),
    "Event": (
        Column("Last Seen", cells.event_last_seen),
        Column("Type", _of(cells.event_type)),
        Column("Reason", _of(lambda one: one.reason)),
        Column("Object", _of(cells.event_object)),
        _wide("Subobject", lambda one: one.involved_object.field_path),
        _wide("Source", cells.event_source),
        Column("Message", _of(lambda one: one.message.strip())),
        Column("First Seen", cells.event_first_seen, priority=1),
        _wide("Count", lambda one: str(one.count or 1)),
        Column("Name", _of(lambda one: one.metadata.name), priority=1),
    ),
}
_ANY = (_NAME, _AGE)


def columns(kind: Resource) -> list[dict[str, Any]]:
    """The columnDefinitions of a kind; a kind without a row of its own has NAME and AGE."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": "name" if column.name == "Name" else "",
            "description": "",
            "priority": column.priority,
        }
        for column in _COLUMNS.get(kind.kind, _ANY)
    ]


def row(kind: Resource, obj: Object, now: datetime, include: Include = "Metadata") -> dict[str, Any]:
    """One object: its cells, and as much of itself as the client asked for (`?includeObject=`)."""
    cells = [column.cell(obj, now) for column in _COLUMNS.get(kind.kind, _ANY)]
    if include == "None":
        return {"cells": cells}
    if include == "Object":
        return {"cells": cells, "object": obj}
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj.metadata}
    return {"cells": cells, "object": partial}


def table(
    kind: Resource, objects: Iterable[Object], include: Include = "Metadata", *, now: datetime | None = None
) -> dict[str, Any]:
    """The Table of these objects, to be encoded; its metadata (resourceVersion, continue) is the caller's."""
    now = now or datetime.now(UTC)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": columns(kind),
        "rows": [row(kind, obj, now, include) for obj in objects],
    }
