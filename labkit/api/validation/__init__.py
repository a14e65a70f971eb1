"""What makes an object of each kind acceptable: functions from object to faults, nothing else.

`validate(obj)` looks at a whole object as it is about to be stored, `validate_update(new, old)` at a change; both find
the row of the kind in the tables below, and both report every fault, in the order of the fields, with its path
(`spec.containers[0].name`), reason and sentence. They expect that defaults were applied. A change takes over from the
old object what a client may leave out (uid, creationTimestamp).
Source: pkg/api/validation of Kubernetes 1.0 and its recorded answers.
"""

from collections.abc import Callable
from typing import Any

from labkit.api import types
from labkit.api.errors import Fault
from labkit.api.types import Object
from labkit.api.validation import (
    configuration,
    endpoints,
    event,
    lease,
    limits,
    namespace,
    node,
    pod,
    pod_template,
    replication,
    service,
    storage,
)

_OBJECT: dict[type[Object], Callable[[Any], list[Fault]]] = {
    types.Namespace: namespace.faults,
    types.Node: node.faults,
    types.Pod: pod.faults,
    types.ReplicationController: replication.faults,
    types.Service: service.faults,
    types.Endpoints: endpoints.faults,
    types.Event: event.faults,
    types.Secret: configuration.secret_faults,
    types.ConfigMap: configuration.config_map_faults,
    types.ServiceAccount: configuration.service_account_faults,
    types.Lease: lease.faults,
    types.PodTemplate: pod_template.faults,
    types.LimitRange: limits.limit_range_faults,
    types.ResourceQuota: limits.quota_faults,
    types.PersistentVolume: storage.volume_faults,
    types.PersistentVolumeClaim: storage.claim_faults,
}

_UPDATE: dict[type[Object], Callable[[Any, Any], list[Fault]]] = {
    types.Namespace: namespace.update_faults,
    types.Node: node.update_faults,
    types.Pod: pod.update_faults,
    types.ReplicationController: replication.update_faults,
    types.Service: service.update_faults,
    types.Endpoints: endpoints.update_faults,
    types.Event: event.update_faults,
    types.Secret: configuration.secret_update_faults,
    types.ConfigMap: configuration.config_map_update_faults,
    types.ServiceAccount: configuration.service_account_update_faults,
    types.Lease: lease.update_faults,
    types.PodTemplate: pod_template.update_faults,
    types.LimitRange: limits.limit_range_update_faults,
    types.ResourceQuota: limits.quota_update_faults,
    types.PersistentVolume: storage.volume_update_faults,
    types.PersistentVolumeClaim: storage.claim_update_faults,
}

_STATUS_UPDATE: dict[type[Object], Callable[[Any, Any], list[Fault]]] = {
    types.Namespace: namespace.status_update_faults,
    types.Node: node.status_update_faults,
    types.Pod: pod.status_update_faults,
    types.ReplicationController: replication.status_update_faults,
    types.Service: service.status_update_faults,
    types.ResourceQuota: limits.quota_status_update_faults,
    types.PersistentVolume: storage.volume_status_update_faults,
    types.PersistentVolumeClaim: storage.claim_status_update_faults,
}


def validate(obj: Object) -> list[Fault]:
    """Faults of a new object."""
    return _OBJECT[type(obj)](obj)


def validate_update(new: Object, old: Object) -> list[Fault]:
    """Faults of changing old into new."""
    return _UPDATE[type(new)](new, old)


def validate_status_update(new: Object, old: Object) -> list[Fault]:
    """Faults of changing old's status into new's; KeyError for a kind that has no status."""
    return _STATUS_UPDATE[type(new)](new, old)
