"""The store with a clock beside it: the same Storage, and how long each operation took goes to /metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from typing import TypeVar

from labkit.components.kube_apiserver.metrics import Histogram
from labkit.storage.protocol import Change, Page, Storage, Stored, Transition

T = TypeVar("T")


class TimedStorage:
    """A Storage around another; an operation that fails is timed as well. Watches are endless and not timed."""

    def __init__(self, storage: Storage, times: Histogram) -> None:
        self._storage = storage
        self._times = times

    async def _timed(self, operation: str, work: Awaitable[T]) -> T:
        started = time.perf_counter()
        try:
            return await work
        finally:
            self._times.observe((operation,), time.perf_counter() - started)

    async def revision(self) -> int:
        return await self._timed("revision", self._storage.revision())

    async def get(self, key: str) -> Stored | None:
        return await self._timed("get", self._storage.get(key))

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        return await self._timed("list", self._storage.list(prefix, limit=limit, after=after, revision=revision))

    async def commit(
        self, expect: Mapping[str, int], put: Mapping[str, bytes], delete: Sequence[str] = (), ttl: int = 0
    ) -> int:
        return await self._timed("commit", self._storage.commit(expect, put, delete, ttl))

    def watch(self, prefix: str, revision: int) -> AsyncGenerator[Sequence[Change], None]:
        return self._storage.watch(prefix, revision)

    def replay(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Transition], None]:
        return self._storage.replay(prefix, after)

    async def compact(self, revision: int) -> None:
        await self._timed("compact", self._storage.compact(revision))

    async def close(self) -> None:
        await self._storage.close()
