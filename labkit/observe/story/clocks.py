"""How far the machines' clocks are apart, told from what must have come first.

    master     transaction of revision 17 sent ............................ revision 22 stored
                         \\                                                  /
    agent1                 '--> its informer sees revision 17 ... takes up the status that becomes revision 22

What is seen on agent1 was sent before, so its clock cannot be further behind than that; what agent1 asked for was
stored after, so it cannot be further ahead. Machines that are containers of one host share a clock, and nothing needs
to be put right; those of a hypervisor do not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from labkit.observe.story.lines import Line


@dataclass(frozen=True)
class Clock:
    """microseconds: so much is added to a machine's times. jumped: no addition puts all of them in order."""

    microseconds: int = 0
    unsure: float = 0.0
    jumped: bool = False


def sent(write: Line) -> int:
    """When the transaction of a write went to etcd: nobody can have seen it before."""
    return write.way[-1].time if write.way else write.time


def compare(lines: Sequence[Line], writes: Mapping[int, Line]) -> dict[str, Clock]:
    """For each machine, beside those of the API servers. writes: by revision."""
    servers = {write.machine for write in writes.values()}
    others = sorted({line.machine for line in lines} - servers)
    return {machine: _clock([line for line in lines if line.machine == machine], writes) for machine in others}


def _clock(lines: Iterable[Line], writes: Mapping[int, Line]) -> Clock:
    """The addition x with: what was seen + x >= what was sent, and what was asked for + x <= what was stored."""
    least, most = -inf, inf
    for line in lines:
        for number, step in enumerate(line.way):
            write = writes.get(step.revision)
            if write is None or write.object not in (step.saw, step.wrote):
                continue
            least = max(least, sent(write) - step.time)
            if step.wrote and number:
                most = min(most, write.time - line.way[number - 1].time)
    if least <= 0 <= most:
        return Clock()
    if least > most:
        return Clock(int(least), 0, jumped=True)
    if inf in (-least, most):
        return Clock(int(most if least == -inf else least), inf)
    return Clock(int((least + most) / 2), (most - least) / 2)
