"""Memory: the store's twin for tests and for a whole cluster in one process.

It has etcd's revisions, history and compaction at the seam, so the same contract tests run on both; it ends with its
process.
"""

import asyncio
import bisect
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence

from labkit import trace
from labkit.storage.protocol import Change, Compacted, Mismatch, Page, Stored, TooLarge, Transition

MAX_BYTES = 1_572_864  # etcd's --max-request-bytes


class Memory:
    """A Storage in dictionaries."""

    def __init__(self) -> None:
        self._values: dict[str, Stored] = {}
        self._history: list[Transition] = []
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
        return Page(cut, revision or self._revision, len(found) - len(cut))

    async def commit(
        self, expect: Mapping[str, int], put: Mapping[str, bytes], delete: Sequence[str] = (), ttl: int = 0
    ) -> int:
        if sum(map(len, put.values())) > MAX_BYTES:
            raise TooLarge("request is too large")
        trace.step(Memory.commit)
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
            self._history.append(Transition(key, self._values.pop(key), None, self._revision))
        for key, value in put.items():
            before, after = self._values.get(key), Stored(key, value, self._revision)
            self._values[key] = after
            self._history.append(Transition(key, before, after, self._revision))
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
        async with contextlib.aclosing(self._follow(prefix, revision - 1)) as batches:
            async for batch in batches:
                yield [Change(step.key, step.after.value if step.after else None, step.revision) for step in batch]

    async def replay(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Transition], None]:
        if after < self._compacted:
            raise Compacted(self._compacted)
        async with contextlib.aclosing(self._follow(prefix, after)) as batches:
            async for batch in batches:
                if any(step.before and step.revision <= self._compacted for step in batch):
                    raise Compacted(self._compacted)
                yield batch

    async def _follow(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Transition], None]:
        seen = after
        while not self._closed:
            batch = [step for step in self._since(seen) if step.key.startswith(prefix)]
            seen = max(seen, self._revision)
            if batch:
                yield batch
            elif self._revision <= seen:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.add(waiter)
                await waiter

    def _since(self, revision: int) -> Sequence[Transition]:
        start = bisect.bisect_right(self._history, revision, key=lambda step: step.revision)
        return self._history[start:]

    def _as_of(self, revision: int) -> dict[str, Stored]:
        if revision < self._compacted:
            raise Compacted(self._compacted)
        values: dict[str, Stored] = {}
        for step in self._history:
            if step.revision > revision:
                break
            if step.after is None:
                values.pop(step.key, None)
            else:
                values[step.key] = step.after
        return values

    async def compact(self, revision: int) -> None:
        self._compacted = max(self._compacted, min(revision, self._revision))

    async def close(self) -> None:
        self._closed = True
        for timer in self._expiries.values():
            timer.cancel()
        self._wake()
