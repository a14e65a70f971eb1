"""What happened before the ring begins, read from the store: for watches from an older resourceVersion.

    41 ............................ 97 .................. now
    |-- Storage.replay: one reader --|-- the ring: for all --|

The store keeps changes until they are compacted (minutes), the ring a few thousand of a kind, and none from before this
server's start. A watcher that asks for more, or that was too slow for the ring, reads a stream of its own until it has
got to where the ring begins. Each change comes with what was there before, as in the ring, so that a selector sees the
same. Nothing is kept: a long replay costs its reader time, not the server memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import msgspec

from labkit.storage.cache import Shelf
from labkit.storage.entry import Entry
from labkit.storage.history import Event
from labkit.storage.protocol import Storage, Stored, Transition

_SLICE = 100  # changes; etcd hands over a thousand at a time, for which nobody else should have to wait


class Part(NamedTuple):
    """Some events in order; with them, everything up to `revision` has been told."""

    events: Sequence[Event]
    revision: int


async def known(storage: Storage, shelf: Shelf, revision: int) -> None:
    """Raises Compacted when the store no longer knows what happened after `revision`."""
    await storage.list(shelf.prefix, limit=1, revision=revision)


async def missed(storage: Storage, shelf: Shelf, after: int, deadline: float) -> AsyncGenerator[Part, None]:
    """What happened to a kind after revision `after`, until the ring can tell the rest (or the stream of a store that
    is being closed ends).

    Where nothing happens there is nothing to hand over at: it then lasts until something does. Raises TimeoutError at
    `deadline` (of the loop's clock), Compacted, StorageUnavailable.
    """
    async with contextlib.aclosing(storage.replay(shelf.prefix, after)) as steps:
        while after < shelf.history.oldest:
            async with asyncio.timeout_at(deadline):
                batch = await anext(steps, ())
            if not batch:
                return
            for start in range(0, len(batch), _SLICE):
                some = batch[start : start + _SLICE]
                if start + _SLICE >= len(batch):  # not before: a transaction may lie across two slices
                    after = batch[-1].revision
                yield Part([event for step in some if (event := event_of(shelf, step))], after)
                await asyncio.sleep(0)


def event_of(shelf: Shelf, step: Transition) -> Event | None:
    """As Shelf.put and Shelf.remove make it."""
    before, after = (_entry(shelf, step.key, stored) for stored in (step.before, step.after))
    if after is not None:
        return Event("MODIFIED" if before else "ADDED", after, before)
    return Event("DELETED", shelf.codec.moved(before, step.revision), before) if before else None


def _entry(shelf: Shelf, key: str, stored: Stored | None) -> Entry | None:
    """None also for a value that is no object of this kind: the cache leaves it out as well."""
    if stored is None:
        return None
    try:
        return shelf.codec.entry(key[len(shelf.prefix) :], stored.value, stored.revision)
    except msgspec.MsgspecError:
        return None
