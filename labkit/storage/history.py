"""What happened to the objects of one kind, lately: the ring that every watcher reads at its own place.

There are no queues per watcher. A watcher is a number, its place in the ring; when something happens each of them is
told, takes what it has not seen, filters it and sends it as one write. Each event is encoded once for all watchers.

Of what comes thick and fast they are told in batches: the next time not before PAUSE, and SHARE times the processor
time that the last time took, have passed. 100 watchers take 2 ms and more; told of each of 1,000 creates a second the
server would do nothing else, in batches it is 4 to 8 events to a write and two thirds of the time left for the creates.
(Time on the clock would not do: when others have the processor the pause would grow too.) A lone event is told at once.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from labkit.storage.entry import Entry

RING = 8192  # events of one kind that are kept at least
PAUSE = 0.002  # seconds
SHARE = 2


class Selects(Protocol):
    """What one reader wants to see."""

    def matches(self, entry: Entry) -> bool: ...


class Reader(Protocol):
    """Who wants to be told."""

    def tell(self) -> None:
        """Something may have happened, or the ring was forgotten. Not to be awaited, not to raise."""


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


def by_field(events: Sequence[Event], label: str) -> dict[str, list[Event]]:
    """The events by the values that a field of their objects has, and had before."""
    found: dict[str, list[Event]] = {}
    for event in events:
        states = (event.entry, event.previous) if event.previous is not None else (event.entry,)
        for value in {state.fields.get(label, "") for state in states}:
            found.setdefault(value, []).append(event)
    return found


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
        self.shared: dict[tuple[int, str], Any] = {}  # what readers worked out of the newest events, for each other
        self._readers: set[Reader] = set()
        self._alarm: asyncio.TimerHandle | asyncio.Handle | None = None
        self._quiet_until = 0.0  # by the loop's clock

    @property
    def readers(self) -> Collection[Reader]:
        """Who follows now."""
        return self._readers

    @property
    def end(self) -> int:
        """The place after the newest event."""
        return self._first + len(self._events)

    def append(self, events: Sequence[Event]) -> None:
        """Add what happened and tell the readers."""
        self._events += events
        self.shared.clear()
        if len(self._events) > 2 * self._size:
            cut = len(self._events) - self._size
            self.oldest = self._events[cut - 1].revision
            self._first += cut
            del self._events[:cut]
        self._tell_soon()

    def forget(self, revision: int) -> None:
        """Start anew at `revision`: every reader falls out."""
        self.oldest = revision
        self._first = self.end + 1
        self._events.clear()
        self.shared.clear()
        self._tell_soon()

    def follow(self, reader: Reader) -> None:
        """Tell the reader from now on, until it leaves."""
        self._readers.add(reader)

    def leave(self, reader: Reader) -> None:
        self._readers.discard(reader)

    def _tell_soon(self) -> None:
        if not self._readers or self._alarm is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._quiet_until:
            self._alarm = loop.call_at(self._quiet_until, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        started = time.thread_time()
        for reader in list(self._readers):
            reader.tell()
        # The event loop sends at the end of its round: only then it is known how long all of it took.
        self._alarm = asyncio.get_running_loop().call_soon(self._told, started, self.end)

    def _told(self, started: float, end: int) -> None:
        pause = max(PAUSE, SHARE * (time.thread_time() - started))
        self._alarm, self._quiet_until = None, asyncio.get_running_loop().time() + pause
        if self.end > end:  # more has happened meanwhile
            self._tell_soon()

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
