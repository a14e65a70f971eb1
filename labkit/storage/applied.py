"""What the watch cache tells of its work: when each revision came back from the store, and how many were told of it.

A line for each change would double the API server's lines, so those of a while share one:

    {"decision": "told the watchers", "function": "labkit.storage.cache:Cache.apply", ...,
     "applied": [[13, 1750000000000000, 180, 7], ...], "by": "labkit/components/.../following.py:54 Follower.tell"}

Each item: all revisions up to 13 that no item before it has were in the cache at that time (microseconds since 1970),
and 180 of them later the 7 watchers of these kinds had been told. What nobody watches has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from labkit.trace import Tracer, place

WHILE = 0.2  # seconds
MOST = 500  # items of one line: a journal's line ends at 48 KB


class Applied:
    """Gathers; `run()` writes, until it is cancelled. function: whose work it is."""

    def __init__(self, trace: Tracer, function: Callable[..., Any]) -> None:
        self._trace = trace
        self._function = function
        self._items: list[tuple[int, int, int, int]] = []
        self._teller = ""
        self._some = asyncio.Event()

    def add(self, revision: int, began: int, ended: int, watchers: int, teller: Callable[..., Any]) -> None:
        """began, ended: microseconds since 1970."""
        self._teller = place(teller)
        self._items.append((revision, began, ended - began, watchers))
        self._some.set()
        if len(self._items) >= MOST:
            self._write()

    async def run(self) -> None:
        try:
            while True:
                await self._some.wait()
                await asyncio.sleep(WHILE)
                self._write()
        finally:
            self._write()

    def _write(self) -> None:
        items, self._items = self._items, []
        self._some.clear()
        if items:
            self._trace.decision("told the watchers", function=self._function, applied=items, by=self._teller)
