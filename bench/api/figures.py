"""What one load measured: how many, how fast, and who spent the processors' time on it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from bench.processes import cpu_seconds


class Figures(msgspec.Struct):
    """count operations in `seconds`; p50, p99: milliseconds for one; cpu: microseconds per operation, by process;
    calls: the p99 by call, where there are several."""

    count: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    cpu: dict[str, float] = {}
    calls: dict[str, float] = {}

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def busy(self) -> float:
        """Cores that were at work."""
        return sum(self.cpu.values()) * self.count / self.seconds / 1e6


def quantile(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


@contextmanager
def measured(figures: Figures, processes: Mapping[str, int]) -> Iterator[None]:
    """Fills in seconds and cpu; `processes`: pids by name, beside the load itself. `count` is set within."""
    watched = dict(processes) | {"load": os.getpid()}
    before, started = {name: cpu_seconds(pid) for name, pid in watched.items()}, time.perf_counter()
    yield
    figures.seconds = time.perf_counter() - started
    spent = {name: 1e6 * (cpu_seconds(pid) - before[name]) for name, pid in watched.items()}
    figures.cpu = {name: round(us / max(1, figures.count), 1) for name, us in spent.items()}
