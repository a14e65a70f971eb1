"""What holds up a deletion: the names in metadata.finalizers, two of which say what becomes of an object's dependents.

    DELETE, propagationPolicy   Background    the object goes; what it owned (ownerReferences) is collected afterwards
                                Foreground    foregroundDeletion: what it owns goes first, then the object
                                Orphan        orphan: what it owned forgets it, then the object goes
                                (not said)    Orphan for a ReplicationController, as DELETE was in 1.0; else Background

An object with finalizers is only marked by DELETE (deletionTimestamp); whoever takes the last of them away ends it.
Source: pkg/registry/generic/registry/store.go of Kubernetes 1.4 and later.
"""

from collections.abc import Sequence

from labkit.api.types import DeleteOptions, Namespace, Object

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


def policy_of(options: DeleteOptions) -> str:
    """Background, Foreground, Orphan, or "" when nothing is said; orphanDependents is the older word for it."""
    if options.propagation_policy or options.orphan_dependents is None:
        return options.propagation_policy
    return "Orphan" if options.orphan_dependents else "Background"


def while_deleted(finalizers: Sequence[str], options: DeleteOptions, *, orphans: bool) -> list[str]:
    """The finalizers of an object once this DELETE has come. orphans: of what is said nothing of, dependents stay."""
    policy = policy_of(options)
    if not policy:
        said = ORPHAN in finalizers or FOREGROUND in finalizers
        return [*finalizers, ORPHAN] if orphans and not said else list(finalizers)
    others = [name for name in finalizers if name not in (ORPHAN, FOREGROUND)]
    return others + {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(policy, [])


def last_taken(old: Object, new: Object) -> bool:
    """Whether this change takes the last finalizer away from an object whose time is over: it is then removed."""
    was = old.metadata
    if was.deletion_timestamp is None or was.deletion_grace_period_seconds:
        return False
    if isinstance(new, Namespace) and new.spec.finalizers:
        return False  # it is still being emptied
    return bool(was.finalizers) and not new.metadata.finalizers
