"""A watcher that has caught up: the history itself tells it what happens, and it writes that to its connection.

No task is woken for it and no timer set; nearly all that an event still costs is TLS and the system call. A watcher
whose client does not read is left alone until it does; its place in the ring waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from labkit.components.kube_apiserver.messages import Outlet
from labkit.storage.history import Event, History, TooOld

Write = Callable[[Sequence[Event], int], bytes]
"""(events, after) -> what the watcher is sent of those after this revision; may be nothing."""


class Follower:
    """place: of the next event in the history; after: all up to this revision has been told."""

    __slots__ = ("_history", "_outlet", "_over", "_write", "after", "place")

    def __init__(self, history: History, outlet: Outlet, write: Write, place: int, after: int) -> None:
        self.place = place
        self.after = after
        self._history = history
        self._outlet = outlet
        self._write = write
        self._over: asyncio.Future[bool] | None = None

    async def run(self, until: float) -> bool:
        """Follow until that time of the loop's clock; False when the ring no longer holds what comes next."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        timer = loop.call_at(until, self._end, True)
        self._history.follow(self)
        self._outlet.on_ready = self.tell
        try:
            self.tell()
            return await self._over
        finally:
            timer.cancel()
            self._history.leave(self)

    def _end(self, reached: bool) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(reached)

    def tell(self) -> None:
        """Send what is new, as one chunk."""
        if not self._outlet.ready:
            return
        try:
            events = self._history.since(self.place)
        except TooOld:
            self._end(False)
            return
        if events:
            chunk = self._write(events, self.after)
            self.place, self.after = self.place + len(events), max(self.after, events[-1].revision)
            if chunk:
                self._outlet.write(chunk)
