"""A pace: so many times a second, and some at once after a rest.

    burst 200, 50 a second:   200 at once . . . . . . .  then one each 20 ms

Source: client-go's flowcontrol, the token bucket behind --event-qps and --event-burst.
"""

import asyncio
import time


class Pace:
    """Tokens that grow by `per_second` up to `burst`; `turn()` takes one, and waits for it."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._counted = float(burst), time.monotonic()

    async def turn(self) -> None:
        """At once while there are tokens; who waits has taken the next one already, so nobody gets it twice."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted) * self._per_second) - 1
        self._counted = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._per_second)
