"""What we wrote and our informer has not seen yet, so that nobody argues with an echo of the past.

A controller that has just written an object and looks at its store a millisecond later finds the state before its
write. Deciding on that gives a Conflict at best. `newest(key)` is the later of the two.
"""

from typing import Generic

from labkit.api.types import AnyObject, key
from labkit.client.informer import Informer


class OwnWrites(Generic[AnyObject]):
    """Remembers the answers to our writes until the informer's store contains them."""

    def __init__(self, informer: Informer[AnyObject]) -> None:
        self._informer = informer
        self._written: dict[str, AnyObject] = {}

    def wrote(self, stored: AnyObject) -> AnyObject:
        """Remember what the API server answered to a create or an update."""
        self._written[key(stored)] = stored
        return stored

    def newest(self, key: str) -> AnyObject | None:
        """The object as the store has it, or as we last wrote it when the store has not come that far."""
        written = self._written.get(key)
        if written is None or self._informer.has_seen(written.metadata.resource_version):
            self._written.pop(key, None)
            return self._informer.store.get(key)
        return written
