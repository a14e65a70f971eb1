"""What is special about each kind on its way into the store: one strategy per row of the table of kinds.

    POST    defaults -> prepare_for_create -> validate -> store
    PUT     defaults -> prepare_for_update -> validate_update -> store      (PATCH is a PUT of the patched object)
    PUT .../status      prepare_for_status_update -> validate_status_update -> store

Who stores (the API server's generic registry) fills in uid, creationTimestamp, selfLink and generated names; addresses
and ports of services come from its allocators. Everything here is pure and changes only the object in hand.
Source: the rest strategies of Kubernetes 1.0 (pkg/registry/*/rest.go).
"""

from typing import Any, ClassVar, Generic, Literal

from labkit.api import validation
from labkit.api.defaults import set_defaults
from labkit.api.errors import Fault
from labkit.api.fields import field_labels
from labkit.api.kinds import Kind, kind_of
from labkit.api.subsets import repack
from labkit.api.types import (
    AnyObject,
    ConfigMap,
    Endpoints,
    Event,
    Lease,
    LimitRange,
    Namespace,
    NamespaceStatus,
    Node,
    Object,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimStatus,
    PersistentVolumeStatus,
    Pod,
    PodStatus,
    PodTemplate,
    ReplicationController,
    ReplicationControllerStatus,
    ResourceQuota,
    ResourceQuotaStatus,
    Secret,
    Service,
    ServiceAccount,
    ServiceStatus,
)


class Strategy(Generic[AnyObject]):
    """The strategy of a kind about which nothing is special, and what every strategy answers."""

    # A PUT without resourceVersion: takes the current one, is a fault (of validate_update), or is a Conflict.
    without_version: ClassVar[Literal["current", "invalid", "conflict"]] = "current"
    # A PUT to a name that does not exist creates the object.
    create_on_update: ClassVar[bool] = False
    # DELETE answers with the object that is gone; otherwise with a Status.
    delete_answers_object: ClassVar[bool] = False
    # A DELETE that does not say what becomes of what the object owns lets that live on.
    orphans_dependents: ClassVar[bool] = False

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        # How `X "name" is invalid` calls the object when it is created and when it is changed.
        self.invalid_name = kind.kind
        self.invalid_update_name = kind.kind

    def defaults(self, obj: AnyObject) -> None:
        """Fill in what the client left out."""
        set_defaults(obj)

    def prepare_for_create(self, obj: AnyObject) -> None:
        """Take away what a client may not decide: the status."""

    def prepare_for_update(self, new: AnyObject, old: AnyObject) -> None:
        """Take over from old what a PUT of the object does not change: the status."""

    def prepare_for_status_update(self, new: AnyObject, old: AnyObject) -> None:
        """Take over from old what a PUT of the status does not change: all but status and metadata."""

    def validate(self, obj: AnyObject) -> list[Fault]:
        return validation.validate(obj)

    def validate_update(self, new: AnyObject, old: AnyObject) -> list[Fault]:
        return validation.validate_update(new, old)

    def validate_status_update(self, new: AnyObject, old: AnyObject) -> list[Fault]:
        return validation.validate_status_update(new, old)

    def fields(self, obj: AnyObject) -> dict[str, str]:
        """What field selectors can ask."""
        return field_labels(obj)


class _NamespaceStrategy(Strategy[Namespace]):
    delete_answers_object = True

    def prepare_for_create(self, obj: Namespace) -> None:
        obj.status = NamespaceStatus(phase="Active")
        if "kubernetes" not in obj.spec.finalizers:
            obj.spec.finalizers.append("kubernetes")

    def prepare_for_update(self, new: Namespace, old: Namespace) -> None:
        new.status, new.spec.finalizers = old.status, old.spec.finalizers

    def prepare_for_status_update(self, new: Namespace, old: Namespace) -> None:
        new.spec = old.spec


class _NodeStrategy(Strategy[Node]):
    """A node's status may come with its creation: the kubelet registers itself with what it knows."""

    def prepare_for_update(self, new: Node, old: Node) -> None:
        new.status = old.status

    def prepare_for_status_update(self, new: Node, old: Node) -> None:
        new.spec = old.spec


class _PodStrategy(Strategy[Pod]):
    delete_answers_object = True

    def prepare_for_create(self, obj: Pod) -> None:
        obj.status = PodStatus(phase="Pending")

    def prepare_for_update(self, new: Pod, old: Pod) -> None:
        new.status = old.status

    def prepare_for_status_update(self, new: Pod, old: Pod) -> None:
        if new.spec.node_name in ("", old.spec.node_name):  # else validation refuses
            new.spec = old.spec


class _ReplicationControllerStrategy(Strategy[ReplicationController]):
    """generation counts the versions of the spec."""

    orphans_dependents = True

    def prepare_for_create(self, obj: ReplicationController) -> None:
        obj.metadata.generation = 1
        obj.status = ReplicationControllerStatus()

    def prepare_for_update(self, new: ReplicationController, old: ReplicationController) -> None:
        new.status = old.status
        generation = old.metadata.generation or 0
        new.metadata.generation = generation + 1 if new.spec != old.spec else old.metadata.generation

    def prepare_for_status_update(self, new: ReplicationController, old: ReplicationController) -> None:
        new.spec = old.spec
        new.metadata.generation = old.metadata.generation


class _ServiceStrategy(Strategy[Service]):
    delete_answers_object = True  # as its REST storage does since 1.24; kubernetes-py cannot read anything else

    without_version = "invalid"

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.invalid_update_name = "service"

    def prepare_for_create(self, obj: Service) -> None:
        obj.status = ServiceStatus()

    def prepare_for_update(self, new: Service, old: Service) -> None:
        new.status = old.status

    def prepare_for_status_update(self, new: Service, old: Service) -> None:
        new.spec = old.spec


class _EndpointsStrategy(Strategy[Endpoints]):
    create_on_update = True

    def prepare_for_create(self, obj: Endpoints) -> None:
        obj.subsets = repack(obj.subsets)

    def prepare_for_update(self, new: Endpoints, old: Endpoints) -> None:
        new.subsets = repack(new.subsets)


class _EventStrategy(Strategy[Event]):
    without_version = "conflict"
    create_on_update = True

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.invalid_name = self.invalid_update_name = "event"


class _AnsweringStrategy(Strategy[AnyObject]):
    """Nothing special but that DELETE answers with the object, as for some kinds in 1.0."""

    delete_answers_object = True


class _ResourceQuotaStrategy(Strategy[ResourceQuota]):
    delete_answers_object = True

    def prepare_for_create(self, obj: ResourceQuota) -> None:
        obj.status = ResourceQuotaStatus()

    def prepare_for_update(self, new: ResourceQuota, old: ResourceQuota) -> None:
        new.status = old.status

    def prepare_for_status_update(self, new: ResourceQuota, old: ResourceQuota) -> None:
        new.spec = old.spec


class _PersistentVolumeStrategy(Strategy[PersistentVolume]):
    delete_answers_object = True

    def prepare_for_create(self, obj: PersistentVolume) -> None:
        obj.status = PersistentVolumeStatus(phase="Pending")

    def prepare_for_update(self, new: PersistentVolume, old: PersistentVolume) -> None:
        new.status = old.status

    def prepare_for_status_update(self, new: PersistentVolume, old: PersistentVolume) -> None:
        new.spec = old.spec


class _PersistentVolumeClaimStrategy(Strategy[PersistentVolumeClaim]):
    delete_answers_object = True

    def prepare_for_create(self, obj: PersistentVolumeClaim) -> None:
        obj.status = PersistentVolumeClaimStatus(phase="Pending")

    def prepare_for_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
        new.status = old.status

    def prepare_for_status_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
        new.spec = old.spec


class _LeaseStrategy(Strategy[Lease]):
    without_version = "invalid"  # of two who want it one must lose


_STRATEGIES: dict[type[Object], type[Strategy[Any]]] = {
    Namespace: _NamespaceStrategy,
    Node: _NodeStrategy,
    Pod: _PodStrategy,
    ReplicationController: _ReplicationControllerStrategy,
    Service: _ServiceStrategy,
    Endpoints: _EndpointsStrategy,
    Event: _EventStrategy,
    Secret: Strategy,
    ConfigMap: Strategy,
    Lease: _LeaseStrategy,
    ServiceAccount: _AnsweringStrategy,
    PodTemplate: _AnsweringStrategy,
    LimitRange: Strategy,
    ResourceQuota: _ResourceQuotaStrategy,
    PersistentVolume: _PersistentVolumeStrategy,
    PersistentVolumeClaim: _PersistentVolumeClaimStrategy,
}
_TABLE = {what: strategy(kind_of(what)) for what, strategy in _STRATEGIES.items()}


def strategy_of(kind: Kind) -> Strategy[Any]:
    """The strategy of a row of the table of kinds; KeyError for a kind that cannot be stored."""
    return _TABLE[kind.type]
