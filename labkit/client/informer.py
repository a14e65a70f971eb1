"""A local copy of one kind of objects that follows the API server.

            list (revision 41)                 watch from 41
    start ----------------------> store filled ----------------> ADDED 42, MODIFIED 45, DELETED 47 ...
              ^                                      |    |
              |  Gone: 47 was compacted away         |    +-- connection lost: watch again from 47
              +--------------------------------------+

A component reads the store and is told of each change; it never asks the server in its loop. What went away while
nobody was looking is noticed by the relist: the store then is the new list, and each difference is told.
Source: the List and Watch of the Kubernetes API; client-go's Reflector and Informer.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Generic

from labkit import trace
from labkit.api.errors import ApiError, ServerUnavailable
from labkit.api.types import AnyObject, key
from labkit.client.backoff import delay
from labkit.client.rest import Client, WatchEvent
from labkit.trace import Tracer

Callback = Callable[[AnyObject | None, AnyObject | None], None]


class Informer(Generic[AnyObject]):
    """Keeps `store` (key -> object) like the server's; `run()` is a task that works until it is cancelled.

    Objects in the store belong to everybody: copy one before changing it.
    """

    def __init__(
        self,
        client: Client,
        kind: type[AnyObject],
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        *,
        trace: Tracer | None = None,
    ) -> None:
        self.client = client
        self.kind = kind
        self.store: dict[str, AnyObject] = {}
        self.resource_version = ""
        self._selection = {
            "namespace": namespace, "label_selector": label_selector, "field_selector": field_selector
        }  # fmt: skip
        self._callbacks: list[Callback[AnyObject]] = []
        self._synced = asyncio.Event()
        self._trace = trace

    def on_change(self, callback: Callback[AnyObject]) -> None:
        """Call `callback(old, new)` for each change: old is None for a new object, new is None for a deleted one."""
        self._callbacks.append(callback)

    @property
    def is_synced(self) -> bool:
        """Whether the first list has been read."""
        return self._synced.is_set()

    async def synced(self) -> None:
        """Wait until the first list has been read."""
        await self._synced.wait()

    def has_seen(self, resource_version: str) -> bool:
        """Whether the store contains what was written at that revision: revisions are etcd's, they only grow."""
        return _number(self.resource_version) >= _number(resource_version)

    async def run(self) -> None:
        """List, then watch for ever; trouble is waited out with a growing delay."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                if not self.resource_version:
                    await self._relist()
                await self._follow()
            except ServerUnavailable as exc:
                self._log("lost the API server", exc)
            except ApiError as exc:  # Gone, or a revision that this server does not know: start over
                self.resource_version = ""
                self._log("list again", exc)
            # A watch that lived is no failure; one that ends at once must not be repeated at once.
            failures = 0 if time.monotonic() - began > 5 else failures + 1
            if failures:
                await asyncio.sleep(delay(failures))

    async def _relist(self) -> None:
        listing = await self.client.list(self.kind, **self._selection)
        old = dict(self.store)
        new = {key(obj): obj for obj in listing.items}
        self.store.clear()
        self.store.update(new)
        self.resource_version = listing.resource_version
        self._synced.set()
        for name in [*old, *(name for name in new if name not in old)]:
            self._tell(old.get(name), new.get(name))

    async def _follow(self) -> None:
        watch = self.client.watch(self.kind, resource_version=self.resource_version, **self._selection)
        async with aclosing(watch):
            async for event in watch:
                self._apply(event)

    def _apply(self, event: WatchEvent[AnyObject]) -> None:
        obj = event.object
        if _number(obj.metadata.resource_version) > _number(self.resource_version):
            self.resource_version = obj.metadata.resource_version
        if event.type == "BOOKMARK":
            return
        name = key(obj)
        if event.type == "DELETED":
            if (old := self.store.pop(name, None)) is not None:
                self._tell(old, None, obj)
        else:
            old = self.store.get(name)
            self.store[name] = obj
            self._tell(old, obj)

    def _tell(self, old: AnyObject | None, new: AnyObject | None, gone: AnyObject | None = None) -> None:
        """gone: the last state of what was deleted, under the revision of its deletion."""
        for before, after in _differences(old, new):
            trace.begin(Informer._apply, after or gone or before)
            for callback in self._callbacks:
                callback(before, after)

    def _log(self, text: str, exc: ApiError) -> None:
        if self._trace is not None:
            self._trace.log(text, level="warning", kind=self.kind.KIND, error=str(exc))


def _differences(old: AnyObject | None, new: AnyObject | None) -> Iterable[tuple[AnyObject | None, AnyObject | None]]:
    """One step of an object's life, or two: the same name with another uid is a deletion and a creation."""
    if old is not None and new is not None:
        if old.metadata.uid != new.metadata.uid:
            return [(old, None), (None, new)]
        if old.metadata.resource_version == new.metadata.resource_version:
            return []
    return [(old, new)]


def _number(resource_version: str) -> int:
    return int(resource_version or 0)
