"""History is kept for a while, so that watches and lists in parts can go on, and then thrown away."""

from __future__ import annotations

import asyncio

from labkit.storage.protocol import Storage, StorageError
from labkit.trace import Tracer


async def compact_for_ever(storage: Storage, trace: Tracer, period: float) -> None:
    """Every period (seconds), forget what is older than the revision of one period ago: history is kept for one to two
    periods. Several servers may do so side by side: what one has forgotten the other need not."""
    before = 0
    while True:
        await asyncio.sleep(period)
        try:
            if before:
                await storage.compact(before)
                trace.log(f"history before revision {before} was compacted")
            before = await storage.revision()
        except StorageError as error:
            trace.log(f"history could not be compacted: {error}", level="warning")
