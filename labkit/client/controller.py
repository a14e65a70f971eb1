"""The loop of every controller: take a key, sync it, and try again later when the world did not cooperate."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from labkit.api.errors import ApiError
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.trace import Tracer


class Controller:
    """Feeds the keys of a queue to `sync(key)`, several at a time, one key never twice at a time.

    What is expected to go wrong (an ApiError: a conflict, a server that is away; more classes by `expected`) costs one
    log line and a retry after a growing delay. Anything else is a bug and ends the process.
    """

    def __init__(
        self,
        name: str,
        queue: WorkQueue,
        sync: Callable[[str], Awaitable[None]],
        *,
        workers: int = 1,
        expected: tuple[type[Exception], ...] = (ApiError,),
        trace: Tracer | None = None,
    ) -> None:
        self.name = name
        self.queue = queue
        self.sync = sync
        self.workers = workers
        self.expected = expected
        self.trace = trace or Tracer(name)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.workers):
                    group.create_task(self._work(), name=f"{self.name}-{number}")
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self.sync(key)
            except self.expected as exc:
                seconds = self.queue.add_rate_limited(key, cause=f"retry after: {exc}")
                self.trace.log(
                    "sync failed", level="warning", controller=self.name, key=key, error=str(exc),
                    retry_seconds=round(seconds, 2),
                )  # fmt: skip
            else:
                self.queue.forget(key)
            finally:
                self.queue.done(key)


async def control(
    name: str, queue: WorkQueue, sync: Callable[[str], Awaitable[None]], *informers: Informer[Any], workers: int = 1
) -> None:
    """A whole controller: follow these informers, then sync key after key, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for informer in informers:
            group.create_task(informer.run())
        await asyncio.gather(*(informer.synced() for informer in informers))
        group.create_task(Controller(name, queue, sync, workers=workers).run())
