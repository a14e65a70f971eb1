"""How busy something is. The kernel only counts nanoseconds of CPU up; it takes two looks:

(cpu now - cpu before) / (now - before)
"""

from collections.abc import Sequence
from typing import NamedTuple

from labkit.components.kubelet.runtime import Sample

WINDOW_SECONDS = 15.0
"""A rate looks back to the newest sample that is at least so old, or the oldest of a container younger than that."""


class Rate(NamedTuple):
    """CPU in thousandths of a millionth of a core (10^9 is one core), on average over so many seconds."""

    nano_cores: int
    seconds: float


def machine_rate(samples: Sequence[Sample]) -> Rate | None:
    """None before the second look."""
    return _rate([(sample.time, sample.machine.cpu) for sample in samples])


def container_rate(samples: Sequence[Sample], container_id: str) -> Rate | None:
    """None when it did not run at the last look, or was seen only once and is old: one that is young began at 0."""
    seen = [(s.time, s.containers[container_id].counters.cpu) for s in samples if container_id in s.containers]
    if not seen or seen[-1][0] != samples[-1].time:
        return None
    started = samples[-1].containers[container_id].container.started
    if seen[0][0] - started < WINDOW_SECONDS:
        seen.insert(0, (started, 0))
    return _rate(seen)


def _rate(points: Sequence[tuple[float, int]]) -> Rate | None:
    """points: (time, nanoseconds of CPU), oldest first."""
    if len(points) < 2:
        return None
    now, cpu = points[-1]
    old_enough = [point for point in points[:-1] if now - point[0] >= WINDOW_SECONDS]
    before, cpu_before = old_enough[-1] if old_enough else points[0]
    if now <= before:  # the clock was set back
        return None
    return Rate(max(0, int((cpu - cpu_before) / (now - before))), now - before)
