"""Who owns whom, of all objects: what the garbage collector looks things up in.

ownerReferences point upwards, from a pod to its controller; this is the way down. It is kept by the changes that
informers tell, whichever of owner and owned they tell of first.
"""

from collections.abc import Sequence

from labkit.api.types import Object


class OwnerGraph:
    """objects: by uid, those that the informers know."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self._owned: dict[str, set[str]] = {}  # uid of an owner, known or not -> uids of what names it

    def dependents(self, uid: str) -> Sequence[Object]:
        return [self.objects[one] for one in sorted(self._owned.get(uid, ()))]

    def changed(self, old: Object | None, new: Object | None) -> set[str]:
        """Take a change; the uids of those that have to be looked at because of it."""
        before, after = _owners(old), _owners(new)
        obj = new or old
        assert obj is not None
        uid = obj.metadata.uid
        for owner in before - after:
            self._owned[owner].discard(uid)
            if not self._owned[owner]:
                del self._owned[owner]
        for owner in after - before:
            self._owned.setdefault(owner, set()).add(uid)
        if new is None:
            self.objects.pop(uid, None)
            return {*before, *self._owned.get(uid, ())} & set(self.objects)
        self.objects[uid] = new
        if not _matters(old, new):
            return set()
        return {uid, *(before | after)} & set(self.objects)


def _owners(obj: Object | None) -> set[str]:
    return set() if obj is None else {owner.uid for owner in obj.metadata.owner_references}


def _matters(old: Object | None, new: Object) -> bool:
    """Most changes (statuses, heartbeats) have nothing to do with owners."""
    if old is None:
        return bool(new.metadata.owner_references or (new.metadata.deletion_timestamp and new.metadata.finalizers))
    was, now = old.metadata, new.metadata
    return (
        was.owner_references != now.owner_references
        or was.deletion_timestamp != now.deletion_timestamp
        or was.finalizers != now.finalizers
    )
