"""What a request makes of an object: pure functions from the old one and what was sent to the new one.

    replaced     PUT, PATCH                      with_status   PUT, PATCH .../status
    scaled       PUT, PATCH .../scale            bound         POST .../binding
    finalized    PUT .../finalize

They may be called again, on what another writer left meanwhile. What they refuse is an ApiError.
"""

from __future__ import annotations

from typing import Any

from labkit.api.errors import BadRequest, Conflict, Invalid
from labkit.api.strategies import Strategy
from labkit.api.types import (
    Binding,
    Namespace,
    Object,
    ObjectMeta,
    Pod,
    ReplicationController,
    Scale,
    ScaleSpec,
    ScaleStatus,
    copy,
)
from labkit.storage.registry import MODIFIED_MEANWHILE, check_namespace


def replaced(strategy: Strategy[Any], old: Object, sent: Any) -> Any:
    """`sent` in the place of `old`: identity and status stay. Raises BadRequest, Conflict, Invalid."""
    new = copy(sent)
    _take_over(new, old)
    if not new.metadata.resource_version:
        _without_version(strategy, new, old)
    strategy.defaults(new)
    strategy.prepare_for_update(new, old)
    return _checked(strategy, new, strategy.validate_update(new, old))


def with_status(strategy: Strategy[Any], old: Object, sent: Any) -> Any:
    """`old` with the status of `sent`. Raises BadRequest, Invalid."""
    new = copy(sent)
    _take_over(new, old)
    new.metadata.resource_version = new.metadata.resource_version or old.metadata.resource_version
    strategy.defaults(new)
    strategy.prepare_for_status_update(new, old)
    return _checked(strategy, new, strategy.validate_status_update(new, old))


def _take_over(new: Object, old: Object) -> None:
    """What no client changes: where the object is, and whether it is being deleted."""
    meta, was = new.metadata, old.metadata
    check_place(new, was.name, was.namespace)
    meta.namespace, meta.self_link, meta.generate_name = was.namespace, was.self_link, was.generate_name
    meta.deletion_timestamp = was.deletion_timestamp
    meta.deletion_grace_period_seconds = was.deletion_grace_period_seconds
    meta.managed_fields = meta.managed_fields or was.managed_fields


def check_place(sent: Object, name: str, namespace: str) -> None:
    """Name and namespace of what was sent are those of the URL; raises BadRequest."""
    if sent.metadata.name != name:
        raise BadRequest(f"the name of the object ({sent.metadata.name}) does not match the name on the URL ({name})")
    check_namespace(sent, namespace)


def check_subject(wish: Object, name: str, namespace: str) -> None:
    """What is asked of the URL's object names that one, or none; raises BadRequest."""
    if wish.metadata.name not in ("", name):
        raise BadRequest(f"name in URL does not match name in {type(wish).__name__} object")
    check_namespace(wish, namespace)


def _without_version(strategy: Strategy[Any], new: Object, old: Object) -> None:
    """A PUT that does not say which version it replaces: mostly whichever is there."""
    if strategy.without_version == "current":
        new.metadata.resource_version = old.metadata.resource_version
    elif strategy.without_version == "conflict":
        why = "metadata.resourceVersion must be given to change what exists"
        raise Conflict.of(strategy.kind.error_name, old.metadata.name, why)


def _checked(strategy: Strategy[Any], new: Any, faults: list[Any]) -> Any:
    if faults:
        raise Invalid.of(strategy.invalid_update_name, new.metadata.name, faults)
    return new


# -- scale -----------------------------------------------------------------------------------------------------------


def scale_of(rc: ReplicationController) -> Scale:
    """The replication controller as a Scale."""
    meta = rc.metadata
    selector = ",".join(f"{key}={value}" for key, value in sorted(rc.spec.selector.items()))
    return Scale(
        metadata=ObjectMeta(
            name=meta.name, namespace=meta.namespace, uid=meta.uid, resource_version=meta.resource_version,
            creation_timestamp=meta.creation_timestamp, self_link=f"{meta.self_link}/scale",
        ),
        spec=ScaleSpec(replicas=rc.spec.replicas or 0),
        status=ScaleStatus(replicas=rc.status.replicas, selector=selector),
    )  # fmt: skip


def scaled(strategy: Strategy[Any], rc: ReplicationController, wanted: Scale) -> ReplicationController:
    """The replication controller with the wanted replicas. Raises BadRequest, Conflict, Invalid."""
    meta = rc.metadata
    if wanted.metadata.name not in ("", meta.name):
        raise BadRequest(
            f"the name of the object ({wanted.metadata.name}) does not match the name on the URL ({meta.name})"
        )
    if wanted.metadata.resource_version not in ("", meta.resource_version):
        raise Conflict.of(strategy.kind.error_name, meta.name, MODIFIED_MEANWHILE)
    new = copy(rc)
    new.spec.replicas = wanted.spec.replicas
    return replaced(strategy, rc, new)  # type: ignore[no-any-return]


# -- finalizing ------------------------------------------------------------------------------------------------------


def finalized(strategy: Strategy[Any], old: Namespace, sent: Namespace) -> Namespace:
    """`old` with the finalizers of `sent`. Raises BadRequest, Invalid."""
    new = copy(old)
    check_place(sent, old.metadata.name, old.metadata.namespace)
    new.metadata.resource_version = sent.metadata.resource_version or old.metadata.resource_version
    new.spec.finalizers = sent.spec.finalizers
    return _checked(strategy, new, strategy.validate_update(new, old))  # type: ignore[no-any-return]


# -- binding ---------------------------------------------------------------------------------------------------------


def bound(pod: Pod, binding: Binding) -> Pod:
    """The pod on the binding's node, with its annotations. Raises Conflict."""
    name = pod.metadata.name
    if pod.spec.node_name:
        raise Conflict.of("binding", name, f'pod {name} is already assigned to node "{pod.spec.node_name}"')
    if pod.metadata.deletion_timestamp:
        raise Conflict.of("binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    new = copy(pod)
    new.spec.node_name = binding.target.name
    new.metadata.annotations |= binding.metadata.annotations
    return new
