"""How far the machines' clocks are apart, told from what must have come first.

    master     transaction of revision 17 sent ................... request received, revision 22
                         \\                                     /
    agent1                 '--> its informer sees revision 17 ... takes up the status that becomes revision 22

What is seen on agent1 was sent before, so its clock cannot be further behind than that; what agent1 asked for was
received after, so it cannot be further ahead. Machines that are containers of one host share a clock, and nothing needs
to be put right; those of a hypervisor do not, and `labkit fault skew` gives one component a clock of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from labkit.observe.story.lines import API_SERVER, Line

Who = tuple[str, str]
"""A machine, and a component of it, or "" for all of them."""


@dataclass(frozen=True)
class Clock:
    """microseconds: so much is added to the times. jumped: no addition puts all of them in order."""

    microseconds: int = 0
    unsure: float = 0.0
    jumped: bool = False


def sent(write: Line) -> int:
    """When the transaction of a write went to etcd: nobody can have seen it before."""
    return write.way[-1].time if write.way else write.time


def received(write: Line) -> int:
    """When kube-apiserver had the request: whoever sent it had decided to."""
    return write.way[0].time if write.way else write.time


def compare(lines: Sequence[Line], writes: Mapping[int, Line]) -> dict[Who, Clock]:
    """For each machine whose clock is not the API server's, and each component whose clock is not its machine's (as
    `labkit fault skew` makes it). writes: by revision."""
    servers = {write.machine for write in writes.values()}
    bounds: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for who in dict.fromkeys((line.machine, line.component) for line in lines if line.component != API_SERVER):
        bounds[who[0]][who[1]] = _bounds([line for line in lines if (line.machine, line.component) == who], writes)
    found: dict[Who, Clock] = {}
    for machine, by_component in bounds.items():
        both = [(0.0, 0.0) if machine in servers else (-inf, inf), *by_component.values()]
        least, most = max(low for low, _ in both), min(high for _, high in both)
        if least <= most:
            found[machine, "" if len(by_component) > 1 else next(iter(by_component))] = _clock(least, most)
        else:
            found |= {(machine, component): _clock(*each) for component, each in by_component.items()}
    return {who: clock for who, clock in found.items() if clock != Clock()}


def clock_of(clocks: Mapping[Who, Clock], line: Line) -> Clock:
    """The one that the line's component goes by."""
    return clocks.get((line.machine, line.component)) or clocks.get((line.machine, "")) or Clock()


def _bounds(lines: Iterable[Line], writes: Mapping[int, Line]) -> tuple[float, float]:
    """Of the addition x with: what was seen + x >= what was sent, what was asked for + x <= what was received."""
    least, most = -inf, inf
    for line in lines:
        for number, step in enumerate(line.way):
            write = writes.get(step.revision)
            if write is None or write.object not in (step.saw, step.wrote):
                continue
            least = max(least, sent(write) - step.time)
            if step.wrote and number:
                most = min(most, received(write) - line.way[number - 1].time)
    return least, most


def _clock(least: float, most: float) -> Clock:
    if least <= 0 <= most:
        return Clock()
    if least > most:
        return Clock(int(least), 0, jumped=True)
    if inf in (-least, most):
        return Clock(int(most if least == -inf else least), inf)
    return Clock(int((least + most) / 2), (most - least) / 2)
