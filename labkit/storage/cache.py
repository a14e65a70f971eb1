"""The watch cache: every object's JSON, kept current by one watch of the whole store.

    etcd --one watch--> apply --> Shelf of the kind: entries by path, in key order
                              --> History of the kind: the ring that watchers read

A read that must be current asks the store for its revision and waits until the cache has got there (`current`). One
question serves all readers that were waiting when it was put: 32 readers cost one or two questions, not 32. The other
way, reading the object itself from etcd, costs each reader a question and a decoded value; lists would be read, decoded
and encoded anew each time.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import time
from collections.abc import Iterable, Sequence

import msgspec

from labkit.storage.applied import Applied
from labkit.storage.entry import Codec, Entry
from labkit.storage.history import Event, History
from labkit.storage.protocol import Change, Compacted, Page, Storage, StorageError, StorageUnavailable
from labkit.trace import Tracer

ROOT = "/registry/"
REACH = 2000  # revisions of before its start that a server has in its rings, so that watches go on over a restart
# Written when somebody else's keys raised the store's revision and our watch cannot see it.
_NUDGE = ROOT + "labkit/nudge"


class Shelf:
    """The objects of one kind, findable by path ("namespace/name") and in key order."""

    def __init__(self, codec: Codec, revision: int) -> None:
        self.codec = codec
        self.prefix = codec.kind.storage_prefix + "/"
        self.entries: dict[str, Entry] = {}
        self.history = History(revision)
        self._paths: list[str] = []

    def within(self, namespace: str) -> list[Entry]:
        """Entries of a namespace ("": all), in key order."""
        if not namespace:
            return [self.entries[path] for path in self._paths]
        start = bisect.bisect_left(self._paths, f"{namespace}/")
        end = bisect.bisect_left(self._paths, f"{namespace}0")  # "0" follows "/"
        return [self.entries[path] for path in self._paths[start:end]]

    def put(self, entry: Entry) -> Event:
        previous = self.entries.get(entry.path)
        if previous is None:
            bisect.insort(self._paths, entry.path)
        self.entries[entry.path] = entry
        return Event("MODIFIED" if previous else "ADDED", entry, previous)

    def remove(self, path: str, revision: int) -> Event | None:
        previous = self.entries.pop(path, None)
        if previous is None:
            return None
        del self._paths[bisect.bisect_left(self._paths, path)]
        return Event("DELETED", self.codec.moved(previous, revision), previous)

    def clear(self) -> None:
        self.entries.clear()
        self._paths.clear()


class Cache:
    """All shelves. `load()` once, then `run()` as a task for as long as the server lives."""

    def __init__(self, storage: Storage, codecs: Sequence[Codec], trace: Tracer) -> None:
        self.storage = storage
        self.revision = 0  # everything up to this revision is here
        self._shelves = {codec.kind.storage_prefix: Shelf(codec, 0) for codec in codecs}
        self._trace = trace
        self._applied = Applied(trace, Cache.apply)
        self._asking: asyncio.Future[int] | None = None
        self._next: asyncio.Future[int] | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def shelf(self, prefix: str) -> Shelf:
        """The shelf of a kind's storage_prefix."""
        return self._shelves[prefix]

    async def load(self, reach: int = 0) -> None:
        """Read the whole store as it was `reach` revisions ago, or as long ago as it still knows; `run` catches up.

        Watchers of before fall out of the rings.
        """
        page = await self._page(reach)
        for shelf in self._shelves.values():
            shelf.clear()
        for key, value, revision in page.items:
            self._take(Change(key, value, revision))
        self.revision = page.revision
        for shelf in self._shelves.values():
            shelf.history.forget(page.revision)
        self._reached()

    async def _page(self, reach: int) -> Page:
        now = await self.storage.revision() if reach else 0
        while reach:
            try:
                return await self.storage.list(ROOT, revision=max(1, now - reach))
            except Compacted:
                reach //= 2
        return await self.storage.list(ROOT)

    async def run(self) -> None:
        """Follow the store for ever; survives its absence and its compactions."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._applied.run(), name="what the cache tells")
            await self._follow()

    async def _follow(self) -> None:
        while True:
            try:
                # From what is known already, not from the next revision: etcd would not say that just this one has been
                # compacted, and a deletion in it is told no more.
                async with contextlib.aclosing(self.storage.watch(ROOT, self.revision)) as watch:
                    async for batch in watch:
                        new = batch
                        if batch[0].revision <= self.revision:
                            new = [change for change in batch if change.revision > self.revision]
                        if new:
                            self.apply(new)
            except Compacted:
                self._trace.log("history was compacted under the watch: reading everything anew", level="warning")
                await self._reload()
            except StorageError as error:
                self._trace.log(f"the watch broke, trying again: {error}", level="warning")
                await asyncio.sleep(0.2)

    async def _reload(self) -> None:
        try:
            await self.load()
        except StorageError as error:
            self._trace.log(f"cannot read the store, trying again: {error}", level="warning")
            await asyncio.sleep(0.2)

    def apply(self, batch: Sequence[Change]) -> None:
        """Take a batch of changes; watchers of each kind are woken once."""
        began = time.time_ns()
        happened: dict[Shelf, list[Event]] = {}
        for change in batch:
            taken = self._take(change)
            if taken:
                happened.setdefault(taken[0], []).append(taken[1])
        self.revision = batch[-1].revision
        for shelf, events in happened.items():
            shelf.history.append(events)
        self._tell(began, happened)
        self._reached()

    def _tell(self, began: int, shelves: Iterable[Shelf]) -> None:
        readers = [reader for shelf in shelves for reader in shelf.history.readers]
        if readers:
            self._applied.add(self.revision, began // 1000, time.time_ns() // 1000, len(readers), type(readers[0]).tell)

    def _take(self, change: Change) -> tuple[Shelf, Event] | None:
        shelf = self._shelf_of(change.key)
        if shelf is None:
            return None
        path = change.key[len(shelf.prefix) :]
        if change.value is None:
            event = shelf.remove(path, change.revision)
        else:
            try:
                event = shelf.put(shelf.codec.entry(path, change.value, change.revision))
            except msgspec.MsgspecError as error:
                self._trace.log(f"{change.key} in the store is no {shelf.codec.kind.kind}: {error}", level="error")
                event = shelf.remove(path, change.revision)
        return (shelf, event) if event else None

    def _shelf_of(self, key: str) -> Shelf | None:
        """`/registry/pods/ns/x` -> pods; `/registry/services/specs/ns/x` -> services."""
        parts = key.split("/", 4)
        return self._shelves.get("/".join(parts[:3])) or self._shelves.get("/".join(parts[:4]))

    async def current(self) -> None:
        """Return when all that was committed before this call is here; raises StorageUnavailable."""
        alone = self._asking is None and self._next is None
        revision = await (self._ask_alone() if alone else self._ask_together())
        if self.revision >= revision or await self.reached(revision, 0.5):
            return
        # Somebody else's key may have raised the store's revision, which our watch does not see: write one of ours.
        await self.storage.commit({}, {_NUDGE: b"{}"})
        if not await self.reached(revision, 5.0):
            raise StorageUnavailable(f"the watch cache is at {self.revision}, the store at {revision}")

    async def _ask_alone(self) -> int:
        """By the reader itself: three rounds of the event loop less. Who comes meanwhile asks anew, together."""
        asking = self._asking = asyncio.get_running_loop().create_future()
        try:
            return await self.storage.revision()
        except StorageUnavailable as error:
            asking.set_exception(error)
            asking.exception()  # heard, if nobody else waits for it
            raise
        finally:
            asking.cancel()  # unless it is done: they may go on
            if self._asking is asking:
                self._asking = None

    async def _ask_together(self) -> int:
        if self._next is None:
            self._next = asyncio.ensure_future(self._ask(self._asking))
        return await asyncio.shield(self._next)

    async def _ask(self, before: asyncio.Future[int] | None) -> int:
        # A question already under way may have been answered before this reader came: it waits for the next one.
        if before is not None:
            await asyncio.wait([before])
            # Of a store that has just kept one question waiting in vain nobody waits for the next.
            if not before.cancelled() and isinstance(before.exception(), StorageUnavailable):
                self._next = None
                before.result()
        self._asking, self._next = self._next, None
        try:
            return await self.storage.revision()
        finally:
            if self._asking is asyncio.current_task():
                self._asking = None

    async def reached(self, revision: int, seconds: float) -> bool:
        """Wait until the cache has got to `revision`, at most so long; whether it has."""
        if self.revision >= revision:
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((revision, waiter))
        await asyncio.wait([waiter], timeout=seconds)
        self._waiters = [other for other in self._waiters if other[1] is not waiter]
        return waiter.done()

    def _reached(self) -> None:
        if not self._waiters:
            return
        still = []
        for revision, waiter in self._waiters:
            if revision > self.revision:
                still.append((revision, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = still
