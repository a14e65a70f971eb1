"""What DELETE does: preconditions, finalizers, the grace period of pods, the slow end of namespaces.

A pod that is bound to a node may be given time to end: DELETE with a grace period marks it (deletionTimestamp,
deletionGracePeriodSeconds), its kubelet stops the containers and sends DELETE with grace 0, which removes it. The grace
is the request's, else the pod's terminationGracePeriodSeconds, else 0: Kubernetes 0.18 and 1.0 knew no default and
removed at once, and so does a plain `kubectl delete pod` here; the kubelet then ends what is no longer wanted.

A namespace is Terminating from its first DELETE on (deletionTimestamp, status.phase). Who empties it, the namespace
controller, takes its finalizer away through .../finalize and deletes once more: that removes it.

An object with metadata.finalizers is marked as well, and ends when the last of them is taken away (Registry.update).
What a DELETE says of the object's dependents becomes such a finalizer: labkit.api.finalizers.
"""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

from labkit.api.errors import Conflict, ServerTimeout
from labkit.api.finalizers import while_deleted
from labkit.api.types import DeleteOptions, Namespace, Pod, Preconditions
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
    entry, orphans = await registry.found(intent), registry.strategy.orphans_dependents
    marking = intent._replace(decision="deletion started", function=mark)

    def change(old: Any) -> Any:
        if ends_at_once(old, options, orphans=orphans):
            raise _AtOnce  # what held it up was taken away meanwhile
        return mark(old, options, now(), orphans=orphans)

    for _ in range(ATTEMPTS):
        obj = entry.decode()
        check_preconditions(registry.kind.error_name, obj, options.preconditions)
        try:
            if ends_at_once(obj, options, orphans=orphans):
                await registry.remove(entry, intent)
                return Deletion(entry, True)
            return Deletion(await registry.update(marking, change), False)
        except Mismatch as error:
            entry = registry.left_by_another(entry, error)
        except _AtOnce:
            entry = await registry.stored(entry.path)
    raise ServerTimeout(f"{registry.kind.error_name} {intent.name!r} is being changed too often, try again")


class _AtOnce(Exception):
    """Marking it would be too little."""


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


def ends_at_once(obj: Any, options: DeleteOptions, *, orphans: bool) -> bool:
    """Whether this DELETE removes the object. Raises Conflict for a namespace that is still being emptied."""
    if while_deleted(obj.metadata.finalizers, options, orphans=orphans):
        return False
    if not isinstance(obj, Namespace):
        return grace_seconds(obj, options) == 0
    meta, finalizers = obj.metadata, obj.spec.finalizers
    if meta.deletion_timestamp and finalizers:
        why = f"Namespace {meta.name} termination is in progress, waiting for [{' '.join(finalizers)}]"
        raise Conflict(why, kind="namespaces", name=meta.name)
    return meta.deletion_timestamp is not None


def grace_seconds(obj: Any, options: DeleteOptions) -> int:
    """How long the object may take to end; 0: remove it now."""
    if not isinstance(obj, Pod) or not obj.spec.node_name or obj.status.phase in ("Succeeded", "Failed"):
        return 0
    asked = options.grace_period_seconds
    if asked is None:
        asked = obj.spec.termination_grace_period_seconds or 0
    return max(asked, 0)


def mark(obj: Any, options: DeleteOptions, when: datetime.datetime, *, orphans: bool = False) -> Any:
    """The object while it ends: with what holds it up; a pod with its time to end, which a second DELETE may only
    shorten; a namespace Terminating."""
    meta = obj.metadata
    meta.finalizers = while_deleted(meta.finalizers, options, orphans=orphans)
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
