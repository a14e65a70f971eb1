"""What did not work is tried again after 10 s, then 20, ... 300."""

import time
from math import inf

from labkit.components.kubelet.actions import Memory, Setback
from labkit.components.kubelet.plan import FIRST_BACKOFF, LONGEST_BACKOFF


class Setbacks:
    """By container name, why it cannot be started now; kept in `memory`, which plan() reads."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._failures: dict[str, int] = {}

    def failed_before(self, name: str) -> bool:
        return name in self._failures

    def set(self, name: str, reason: str, message: str, *, longest: float = LONGEST_BACKOFF) -> None:
        """It failed (once more)."""
        self._failures[name] = self._failures.get(name, 0) + 1
        seconds = min(longest, FIRST_BACKOFF * 2 ** (self._failures[name] - 1))
        self.until(name, reason, message, time.time() + seconds)

    def until(self, name: str, reason: str, message: str, when: float = inf) -> None:
        """It waits, which is no failure; inf: until somebody wakes the pod."""
        self._memory.setbacks[name] = Setback(reason, message, when)

    def clear(self, name: str) -> None:
        """It worked, or is asked for in another way now."""
        self._memory.setbacks.pop(name, None)
        self._failures.pop(name, None)

    def clear_starts(self) -> None:
        """The pod has a new pause container: what could not start with the last one is tried at once."""
        for name, setback in [*self._memory.setbacks.items()]:
            if setback.reason == "RunContainerError":
                self.clear(name)
