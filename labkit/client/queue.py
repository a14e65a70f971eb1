"""The work queue: which objects to look at next, by key.

    add(key) --> [waiting] --get()--> [in work] --done(key)--> gone, or back to waiting if it was added meanwhile

A key waits at most once however often it is added, and is never worked on twice at the same time: that is what makes
`sync(key)` safe to run by many workers. Source: client-go's workqueue, of which 0.18 had the first half.
"""

import asyncio
from collections import deque

from labkit import trace
from labkit.client.backoff import delay

LONGEST = 30.0


class WorkQueue:
    """A queue of keys for one event loop; `causes` tells why a key is in it."""

    def __init__(self, *, first: float = 0.1, most: float = LONGEST) -> None:
        """A key that fails is put back after `first` seconds, then twice that, up to `most`."""
        self._first = first
        self._most = most
        self._waiting: deque[str] = deque()
        self._dirty: dict[str, trace.Cause] = {}  # key -> cause; waiting, or to be added again when its work is done
        self._in_work: dict[str, trace.Cause] = {}
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: str, cause: str = "") -> None:
        """Have `key` looked at soon. The first cause of several wins: it is what woke us."""
        if key in self._dirty:
            return
        self._dirty[key] = trace.because(cause)
        if key not in self._in_work:
            self._waiting.append(key)
            self._wake.set()

    def add_after(self, key: str, seconds: float, cause: str = "") -> None:
        """Add it later; of several appointments of one key the earliest holds."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key, cause)

    def _due(self, key: str, cause: str) -> None:
        del self._timers[key]
        self.add(key, cause)

    def add_rate_limited(self, key: str, cause: str = "retry") -> float:
        """Add it after a delay that grows with each failure; the delay in seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        seconds = delay(self._failures[key], first=self._first, most=self._most)
        self.add_after(key, seconds, cause)
        return seconds

    def forget(self, key: str) -> None:
        """It worked: the next failure starts with a short delay again."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key, and the way of its cause; call `done(key)` when its work is finished, whatever came of it."""
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        key = self._waiting.popleft()
        cause = self._in_work[key] = self._dirty.pop(key)
        trace.go_on(cause)
        trace.step(WorkQueue.get)
        return key

    def cause(self, key: str) -> str:
        """Why `key`, which is being worked on, was added."""
        return str(self._in_work.get(key, ""))

    def done(self, key: str) -> None:
        self._in_work.pop(key, None)
        if key in self._dirty:
            self._waiting.append(key)
            self._wake.set()

    def close(self) -> None:
        """Cancel the appointments."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
