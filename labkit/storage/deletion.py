"""What DELETE does: preconditions, the grace period of pods, the slow end of namespaces and of replication controllers.

A pod that is bound to a node may be given time to end: DELETE with a grace period marks it (deletionTimestamp,
deletionGracePeriodSeconds), its kubelet stops the containers and sends DELETE with grace 0, which removes it. The grace
is the request's, else the pod's terminationGracePeriodSeconds, else 0: Kubernetes 0.18 and 1.0 knew no default and
removed at once, and so does a plain `kubectl delete pod` here; the kubelet then ends what is no longer wanted.

A namespace is Terminating from its first DELETE on (deletionTimestamp, status.phase). Who empties it, the namespace
controller, takes its finalizer away through .../finalize and deletes once more: that removes it.

A ReplicationController is removed at once, and its pods live on, as in 1.0. With propagationPolicy Background or
Foreground, which is what today's `kubectl delete` sends, it only gets its deletionTimestamp: the replication manager
then wants no pods of it, and when they are gone deletes once more. So did the kubectl of 2015, which scaled to 0 first.
"""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

from labkit.api.errors import Conflict, ServerTimeout
from labkit.api.types import DeleteOptions, Namespace, Pod, Preconditions, ReplicationController
from labkit.storage.entry import Entry
from labkit.storage.protocol import Mismatch
from labkit.storage.registry import ATTEMPTS, Intent, Registry, now, timestamp


class Deletion(NamedTuple):
    """The object as it was last, or as it is while it ends (`removed` is False then)."""

    entry: Entry
    removed: bool


async def delete(registry: Registry, intent: Intent, options: DeleteOptions) -> Deletion:
    """Remove an object, or mark one that gets time to end. Raises NotFound, Conflict (a precondition, finalizers)."""
    if options.preconditions:
        await registry.cache.current()  # a refusal must not come from an object that is gone already
    entry = await registry.found(intent)
    for _ in range(ATTEMPTS):
        obj = entry.decode()
        check_preconditions(registry.kind.error_name, obj, options.preconditions)
        try:
            if ends_at_once(obj, options):
                await registry.remove(entry, intent)
                return Deletion(entry, True)
            marked = intent._replace(decision="deletion started")
            return Deletion(await registry.update(marked, lambda old: mark(old, options, now())), False)
        except Mismatch as error:
            entry = registry.left_by_another(entry, error)
    raise ServerTimeout(f"{registry.kind.error_name} {intent.name!r} is being changed too often, try again")


def check_preconditions(kind: str, obj: Any, wanted: Preconditions | None) -> None:
    """Raises Conflict when it is another object than the client meant."""
    if wanted is None:
        return
    meta = obj.metadata
    for field, want, have in (
        ("UID", wanted.uid, meta.uid),
        ("ResourceVersion", wanted.resource_version, meta.resource_version),
    ):
        if want is not None and want != have:
            why = f"Precondition failed: {field} in precondition: {want}, {field} in object meta: {have}"
            raise Conflict.of(kind, meta.name, why)


def ends_at_once(obj: Any, options: DeleteOptions) -> bool:
    """Whether this DELETE removes the object. Raises Conflict for a namespace that is still being emptied."""
    if isinstance(obj, ReplicationController):
        return obj.metadata.deletion_timestamp is not None or not takes_its_pods_along(options)
    if not isinstance(obj, Namespace):
        return grace_seconds(obj, options) == 0
    meta, finalizers = obj.metadata, obj.spec.finalizers
    if meta.deletion_timestamp and finalizers:
        why = f"Namespace {meta.name} termination is in progress, waiting for [{' '.join(finalizers)}]"
        raise Conflict(why, kind="namespaces", name=meta.name)
    return meta.deletion_timestamp is not None


def takes_its_pods_along(options: DeleteOptions) -> bool:
    """Whether what belongs to the object is to go too; when nothing is said of it, it stays."""
    return options.propagation_policy in ("Background", "Foreground") or options.orphan_dependents is False


def grace_seconds(obj: Any, options: DeleteOptions) -> int:
    """How long the object may take to end; 0: remove it now."""
    if not isinstance(obj, Pod) or not obj.spec.node_name or obj.status.phase in ("Succeeded", "Failed"):
        return 0
    asked = options.grace_period_seconds
    if asked is None:
        asked = obj.spec.termination_grace_period_seconds or 0
    return max(asked, 0)


def mark(obj: Any, options: DeleteOptions, when: datetime.datetime) -> Any:
    """The object while it ends: a pod with its time to end, which a second DELETE may only shorten; a namespace
    Terminating; a replication controller that wants no pods any more."""
    meta = obj.metadata
    if isinstance(obj, ReplicationController):
        meta.deletion_timestamp = timestamp(when)
        return obj
    if isinstance(obj, Namespace):
        meta.deletion_timestamp = meta.deletion_timestamp or timestamp(when)
        obj.status.phase = "Terminating"
        return obj
    seconds = grace_seconds(obj, options)
    running_out = meta.deletion_grace_period_seconds
    if meta.deletion_timestamp is None or (running_out is not None and seconds < running_out):
        meta.deletion_timestamp = timestamp(when + datetime.timedelta(seconds=seconds))
        meta.deletion_grace_period_seconds = seconds
    return obj
