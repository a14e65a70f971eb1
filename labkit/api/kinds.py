"""The table of kinds: what exists in API v1 (and Lease, of a later group), under which path, and where etcd keeps it.

One row is all that a kind needs for being routed, stored, listed, watched and found by kubectl; what makes it special
(defaults, validation, what may change) is its strategy in `api/strategies.py`.
"""

import msgspec

from labkit.api import types
from labkit.api.types import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What has a path: how clients find it, and what they can do with it."""

    type: type[Object]
    resource: str  # plural, as in the path: /api/v1/namespaces/NS/pods
    singular: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    group: str = ""  # "" is the core, below /api; others are below /apis
    version: str = "v1"
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[str, ...] = ()
    in_all: bool = False  # part of `kubectl get all`

    @property
    def kind(self) -> str:
        return self.type.KIND

    @property
    def root(self) -> str:
        """Where its paths begin: `/api/v1`, `/apis/coordination.k8s.io/v1`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def list_kind(self) -> str:
        return self.kind if self.kind.endswith("List") else f"{self.kind}List"

    @property
    def api_version(self) -> str:
        """`v1`, `authorization.k8s.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version


class Kind(Resource, frozen=True, kw_only=True):
    """One row of the table."""

    storage_prefix: str  # in etcd; the original's own names (nodes were minions, services are "specs")
    error_name: str  # the word that the original's NotFound and AlreadyExists say


_TABLE = (
    Kind(type=types.Namespace, resource="namespaces", singular="namespace", short_names=("ns",), namespaced=False,
         verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),  # each on its own: `default` stays
         storage_prefix="/registry/namespaces", error_name="namespaces", subresources=("finalize", "status")),
    Kind(type=types.Node, resource="nodes", singular="node", short_names=("no",), namespaced=False,
         storage_prefix="/registry/minions", error_name="node", subresources=("status", "proxy")),
    Kind(type=types.Pod, resource="pods", singular="pod", short_names=("po",), in_all=True,
         storage_prefix="/registry/pods", error_name="pods",
         subresources=("status", "binding", "eviction", "log", "exec", "attach", "portforward", "proxy")),
    Kind(type=types.ReplicationController, resource="replicationcontrollers", singular="replicationcontroller",
         short_names=("rc",), in_all=True, storage_prefix="/registry/controllers",
         error_name="replicationControllers", subresources=("status", "scale")),
    Kind(type=types.Service, resource="services", singular="service", short_names=("svc",), in_all=True,
         storage_prefix="/registry/services/specs", error_name="service", subresources=("status", "proxy")),
    Kind(type=types.Endpoints, resource="endpoints", singular="endpoints", short_names=("ep",),
         storage_prefix="/registry/services/endpoints", error_name="endpoints"),
    Kind(type=types.PodTemplate, resource="podtemplates", singular="podtemplate",
         storage_prefix="/registry/podtemplates", error_name="podtemplates"),
    Kind(type=types.Secret, resource="secrets", singular="secret",
         storage_prefix="/registry/secrets", error_name="secrets"),
    Kind(type=types.ConfigMap, resource="configmaps", singular="configmap", short_names=("cm",),
         storage_prefix="/registry/configmaps", error_name="configmaps"),
    Kind(type=types.ServiceAccount, resource="serviceaccounts", singular="serviceaccount", short_names=("sa",),
         storage_prefix="/registry/serviceaccounts", error_name="serviceaccounts", subresources=("token",)),
    Kind(type=types.LimitRange, resource="limitranges", singular="limitrange", short_names=("limits",),
         storage_prefix="/registry/limitranges", error_name="limitranges"),
    Kind(type=types.ResourceQuota, resource="resourcequotas", singular="resourcequota", short_names=("quota",),
         storage_prefix="/registry/resourcequotas", error_name="resourcequotas", subresources=("status",)),
    Kind(type=types.PersistentVolume, resource="persistentvolumes", singular="persistentvolume", short_names=("pv",),
         namespaced=False, storage_prefix="/registry/persistentvolumes", error_name="persistentvolume",
         subresources=("status",)),
    Kind(type=types.PersistentVolumeClaim, resource="persistentvolumeclaims", singular="persistentvolumeclaim",
         short_names=("pvc",), storage_prefix="/registry/persistentvolumeclaims", error_name="persistentvolumeclaims",
         subresources=("status",)),
    Kind(type=types.Event, resource="events", singular="event", short_names=("ev",),
         storage_prefix="/registry/events", error_name="event"),
    Kind(type=types.Lease, resource="leases", singular="lease", group="coordination.k8s.io",
         storage_prefix="/registry/leases", error_name="leases.coordination.k8s.io"),
)  # fmt: skip

KINDS: dict[str, Kind] = {kind.resource: kind for kind in _TABLE}
_BY_TYPE = {kind.type: kind for kind in _TABLE}
_BY_NAME = {kind.kind: kind for kind in _TABLE}


def kind_of(what: type[Object] | Object) -> Kind:
    """The row of a type or of an object; KeyError for a type that is not in the table."""
    return _BY_TYPE[what if isinstance(what, type) else type(what)]


def by_kind_name(name: str) -> Kind | None:
    """The row of "Pod"."""
    return _BY_NAME.get(name)
