"""The stream of a watch: what is there now (when no resourceVersion says where to begin), then what happens.

Whatever happened since the last time is sent as one chunk: `{"type":...,"object":...}` and a newline for each event.
Frames are made once for all watchers. Who has caught up follows the ring of history (following.py); what lies before
the ring is read from the store (labkit.storage.replay). Source: the Kubernetes API conventions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

import msgspec

from labkit.api.errors import ApiError, BadRequest, Expired
from labkit.api.kinds import Resource
from labkit.api.types import Object
from labkit.components.kube_apiserver.answers import table_of, wants_table
from labkit.components.kube_apiserver.following import Follower
from labkit.components.kube_apiserver.messages import Outlet, Request
from labkit.storage import replay
from labkit.storage.cache import Cache, Shelf
from labkit.storage.entry import Entry
from labkit.storage.history import Event, History, TooOld, by_field, frame_of, seen_by
from labkit.storage.protocol import Compacted, StorageUnavailable
from labkit.storage.selection import Selection

BOOKMARK_SECONDS = 60.0
END_OF_STATE = "k8s.io/initial-events-end"  # an annotation: what was there has been sent


class Watch(NamedTuple):
    """Where a watch begins and how long it lasts. `revision` None: begin with what is there. `tells_end_of_state`: a
    bookmark says when all of that was sent (a client then needs no list)."""

    selection: Selection
    revision: int | None
    seconds: float
    bookmarks: bool
    tells_end_of_state: bool = False


class Frames:
    """How events are written for one watcher: objects, or Tables whose columns come with the first only."""

    def __init__(self, request: Request, kind: Resource) -> None:
        self._request = request
        self._kind = kind
        self.plain = not (table := wants_table(request))
        self._table = table
        self._columns_sent = False

    def of_event(self, type: str, event: Event) -> bytes:
        return self._row(type, event.shown(type)) if self._table else event.frame(type)

    def of_entry(self, entry: Entry) -> bytes:
        return self._row("ADDED", entry) if self._table else frame_of("ADDED", entry.data)

    def _row(self, type: str, entry: Entry) -> bytes:
        return self._table_frame(type, entry.decode(), str(entry.revision))

    def _table_frame(self, type: str, obj: Object, revision: str) -> bytes:
        table = table_of(self._request, self._kind, [obj])
        if self._columns_sent:
            table["columnDefinitions"] = None
        self._columns_sent = True
        table["metadata"] = {"resourceVersion": revision}
        return frame_of(type, msgspec.json.encode(table))

    def bookmark(self, revision: int, *, end_of_state: bool = False) -> bytes:
        head = f'"kind":"{self._kind.kind}","apiVersion":"{self._kind.api_version}"'
        more = f',"annotations":{{"{END_OF_STATE}":"true"}}' if end_of_state else ""
        return frame_of("BOOKMARK", f'{{{head},"metadata":{{"resourceVersion":"{revision}"{more}}}}}'.encode())


def error_frame(error: ApiError) -> bytes:
    """How a watch that has begun reports its end."""
    return frame_of("ERROR", msgspec.json.encode(error.status()))


BEFORE_THE_RING = -1


class Start(NamedTuple):
    """The first place in the history, the revision after which events count, and what is sent at once."""

    place: int
    after: int
    first: bytes


async def begin(cache: Cache, shelf: Shelf, watch: Watch, writer: Frames) -> Start:
    """Raises Expired when what happened since the asked revision is known no longer."""
    if watch.revision is None:
        entries = watch.selection.of(shelf.within(watch.selection.namespace))
        first = [writer.of_entry(entry) for entry in entries]
        if watch.tells_end_of_state:
            first.append(writer.bookmark(cache.revision, end_of_state=True))
        return Start(shelf.history.end, cache.revision, b"".join(first))
    try:
        return Start(shelf.history.place(watch.revision), watch.revision, b"")
    except TooOld as error:
        try:
            await replay.known(cache.storage, shelf, watch.revision)
        except Compacted:
            raise Expired(str(error)) from error
        return Start(BEFORE_THE_RING, watch.revision, b"")


async def frames(
    cache: Cache, shelf: Shelf, watch: Watch, writer: Frames, start: Start, outlet: Outlet
) -> AsyncGenerator[bytes, None]:
    """The chunks of a watch until its time is over, beside those that go through the outlet while it follows the ring;
    a watcher that cannot be served further is told 410."""
    time, history = asyncio.get_running_loop().time, shelf.history
    if start.first:
        yield start.first
    me = Follower(history, outlet, _writing(history, watch.selection, writer), start.place, start.after)
    deadline, bookmark_at = time() + watch.seconds, time() + BOOKMARK_SECONDS
    while time() < deadline:
        if not await me.run(min(deadline, bookmark_at)):
            async with contextlib.aclosing(_missed(cache, shelf, watch, writer, me.after, deadline)) as chunks:
                async for chunk, told in chunks:
                    me.after = told
                    if chunk:
                        yield chunk
            if me.after < history.oldest:
                return
            me.place = history.place(me.after)
            continue
        if me.place == history.end:
            me.after = max(me.after, cache.revision)
        if time() >= bookmark_at:
            bookmark_at = time() + BOOKMARK_SECONDS
            if watch.bookmarks:
                yield writer.bookmark(me.after)


async def _missed(
    cache: Cache, shelf: Shelf, watch: Watch, writer: Frames, after: int, deadline: float
) -> AsyncGenerator[tuple[bytes, int], None]:
    """What the ring no longer has: chunks, and up to which revision they tell. Stops short of the ring when the watch
    cannot go on: the client then asks again from where it was."""
    try:
        async with contextlib.aclosing(replay.missed(cache.storage, shelf, after, deadline)) as parts:
            async for events, revision in parts:
                yield _chunk(events, after, watch.selection, writer), revision
                after = revision
    except Compacted:
        yield error_frame(Expired(str(TooOld(after, shelf.history.oldest)))), after
    except (StorageUnavailable, TimeoutError):
        return


def _writing(history: History, selection: Selection, writer: Frames) -> Callable[[Sequence[Event], int], bytes]:
    """How a watcher makes its chunk. Those who want all of a kind, or of a namespace, mostly want the same events: the
    first makes the chunk, the others find it. Those who want one value of a field (each kubelet the pods of its node)
    look their events up: the first sorts all of them, or each of 100 nodes would look at each pod of 100 nodes."""
    exact = selection.fields.exact

    def write(events: Sequence[Event], after: int) -> bytes:
        if exact is not None:
            sorting = (len(events), f"by {exact.label}")
            if sorting not in history.shared:
                history.shared[sorting] = by_field(events, exact.label)
            return _chunk(history.shared[sorting].get(exact.value, ()), after, selection, writer)
        if not (writer.plain and selection.whole) or events[0].revision <= after:
            return _chunk(events, after, selection, writer)
        key = (len(events), selection.scope)
        chunk: bytes | None = history.shared.get(key)
        if chunk is None:
            chunk = history.shared[key] = _chunk(events, after, selection, writer)
        return chunk

    return write


def _chunk(events: Sequence[Event], after: int, selection: Selection, writer: Frames) -> bytes:
    if len(events) == 1:  # the common case
        event = events[0]
        type = seen_by(selection, event)
        return writer.of_event(type, event) if type and event.revision > after else b""
    seen = [(seen_by(selection, event), event) for event in events if event.revision > after]
    return b"".join([writer.of_event(type, event) for type, event in seen if type])


def begins_with_state(request: Request) -> bool:
    """`sendInitialEvents=true`, in the place of a list (kubectl 1.35 and later). Raises BadRequest."""
    if not request.flag("sendInitialEvents"):
        return False
    match = request.query.get("resourceVersionMatch", "")
    if match != "NotOlderThan":
        raise BadRequest(f"resourceVersionMatch: {match!r}: sendInitialEvents=true expects NotOlderThan")
    return True


def watch_revision(text: str) -> int | None:
    """The query's resourceVersion; None for "" and "0": begin with what is there."""
    if text in ("", "0"):
        return None
    return parse_revision(text)


def parse_revision(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise BadRequest(f"resourceVersion: invalid value {text!r}: expected a number, as lists and objects carry it")
    return int(text)
