"""What happened to the objects of one kind, lately: the ring that every watcher reads at its own place.

There are no queues per watcher. A watcher is a number, its place in the ring; a new batch wakes all of them, and each
takes what it has not seen, filters it and sends it as one write. A watcher that falls out of the ring's back gets Gone
and lists again. Each event is encoded once for all watchers.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Sequence
from typing import Protocol

from labkit.storage.entry import Entry

RING = 8192  # events of one kind that are kept at least


class Selects(Protocol):
    """What one reader wants to see."""

    def matches(self, entry: Entry) -> bool: ...


class Event:
    """One change of one object. `entry`: the object after it; for DELETED its last state under the new revision."""

    __slots__ = ("_frames", "entry", "previous", "revision", "type")

    def __init__(self, type: str, entry: Entry, previous: Entry | None) -> None:
        self.type = type
        self.entry = entry
        self.previous = previous
        self.revision = entry.revision
        self._frames: dict[str, bytes] = {}

    def frame(self, type: str) -> bytes:
        """The line of a watch, newline-terminated; `type` as `seen_by` says."""
        frame = self._frames.get(type)
        if frame is None:
            frame = self._frames[type] = frame_of(type, self.shown(type).data)
        return frame

    def shown(self, type: str) -> Entry:
        """The object that a watcher is shown: one that left the selection is shown as it was when it was in."""
        if type == "DELETED" and self.type != "DELETED" and self.previous is not None:
            return self.previous.codec.moved(self.previous, self.revision)
        return self.entry


def frame_of(type: str, data: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type.encode(), data)


def seen_by(selection: Selects, event: Event) -> str:
    """What the change is to a reader: ADDED, MODIFIED, DELETED, or "" for nothing.

    An object that begins to match was ADDED, one that ceases to was DELETED, whatever happened to it really.
    """
    now = event.type != "DELETED" and selection.matches(event.entry)
    before = event.previous is not None and selection.matches(event.previous)
    if now:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else ""


class TooOld(Exception):
    """The ring does not reach back to the asked revision."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")


class History:
    """The ring of one kind. Complete for all revisions after `oldest`."""

    def __init__(self, revision: int, size: int = RING) -> None:
        self.oldest = revision
        self._size = size
        self._events: list[Event] = []
        self._first = 0  # the place of _events[0]; places only grow
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def end(self) -> int:
        """The place after the newest event."""
        return self._first + len(self._events)

    def append(self, events: Sequence[Event]) -> None:
        """Add what happened and wake the watchers."""
        self._events += events
        if len(self._events) > 2 * self._size:
            cut = len(self._events) - self._size
            self.oldest = self._events[cut - 1].revision
            self._first += cut
            del self._events[:cut]
        self._wake()

    def forget(self, revision: int) -> None:
        """Start anew at `revision`: every watcher falls out."""
        self.oldest = revision
        self._first = self.end + 1
        self._events.clear()
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def place(self, revision: int) -> int:
        """The place of the first event after `revision`; raises TooOld."""
        if revision < self.oldest:
            raise TooOld(revision, self.oldest)
        return self._first + bisect.bisect_right(self._events, revision, key=lambda event: event.revision)

    def since(self, place: int) -> Sequence[Event]:
        """Events from `place` on; raises TooOld when the ring has moved past it."""
        if place < self._first:
            raise TooOld(place, self._first)
        return self._events[place - self._first :]

    async def wait(self, place: int, seconds: float) -> None:
        """Return when there is something at `place`, the ring was forgotten, or the time is over."""
        if self.end > place or self._first > place:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        timer = asyncio.get_running_loop().call_later(seconds, _finish, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
