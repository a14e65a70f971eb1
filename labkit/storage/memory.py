"""Memory: the store's twin for tests and for a whole cluster in one process.

It has etcd's revisions, history and compaction at the seam, so the same contract tests run on both; it ends with its
process.
"""

import asyncio
import bisect
from collections.abc import AsyncGenerator, Mapping, Sequence

from labkit.storage.protocol import Change, Compacted, Mismatch, Page, Stored, TooLarge

MAX_BYTES = 1_572_864  # etcd's --max-request-bytes


class Memory:
    """A Storage in dictionaries."""

    def __init__(self) -> None:
        self._values: dict[str, Stored] = {}
        self._history: list[Change] = []
        self._revision = 1  # an empty etcd starts at 1 too
        self._compacted = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    async def revision(self) -> int:
        return self._revision

    async def get(self, key: str) -> Stored | None:
        return self._values.get(key)

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        values = self._values if not revision or revision == self._revision else self._as_of(revision)
        found = [values[key] for key in sorted(values) if key.startswith(prefix) and key > after]
        cut = found[:limit] if limit else found
        return Page(cut, self._revision, len(found) - len(cut))

    async def commit(
        self, expect: Mapping[str, int], put: Mapping[str, bytes], delete: Sequence[str] = (), ttl: int = 0
    ) -> int:
        if sum(map(len, put.values())) > MAX_BYTES:
            raise TooLarge("request is too large")
        current = {key: self._values.get(key) for key in expect}
        if any((stored.revision if stored else 0) != expect[key] for key, stored in current.items()):
            raise Mismatch(current)
        gone = [key for key in delete if key in self._values]
        if put or gone:
            self._apply(put, gone, ttl)
        return self._revision

    def _apply(self, put: Mapping[str, bytes], gone: Sequence[str], ttl: int) -> None:
        self._revision += 1
        for key in gone:
            del self._values[key]
            self._history.append(Change(key, None, self._revision))
        for key, value in put.items():
            self._values[key] = Stored(key, value, self._revision)
            self._history.append(Change(key, value, self._revision))
        for key in (*gone, *put):
            if timer := self._expiries.pop(key, None):
                timer.cancel()
        if ttl:
            loop = asyncio.get_running_loop()
            for key in put:
                self._expiries[key] = loop.call_later(ttl, self._apply, {}, [key], 0)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Sequence[Change], None]:
        if revision < self._compacted:
            raise Compacted(self._compacted)
        seen = revision - 1
        while not self._closed:
            batch = [c for c in self._since(seen) if c.key.startswith(prefix)]
            seen = max(seen, self._revision)
            if batch:
                yield batch
            elif self._revision <= seen:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.add(waiter)
                await waiter

    def _since(self, revision: int) -> Sequence[Change]:
        start = bisect.bisect_right(self._history, revision, key=lambda change: change.revision)
        return self._history[start:]

    def _as_of(self, revision: int) -> dict[str, Stored]:
        if revision < self._compacted:
            raise Compacted(self._compacted)
        values: dict[str, Stored] = {}
        for change in self._history:
            if change.revision > revision:
                break
            if change.value is None:
                values.pop(change.key, None)
            else:
                values[change.key] = Stored(change.key, change.value, change.revision)
        return values

    async def compact(self, revision: int) -> None:
        self._compacted = max(self._compacted, min(revision, self._revision))

    async def close(self) -> None:
        self._closed = True
        for timer in self._expiries.values():
            timer.cancel()
        self._wake()
