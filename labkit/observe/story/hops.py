"""From chosen lines to hops, in the order of cause and effect.

A line is several hops: the steps that led to it, and the decision itself. A write that somebody saw has two more:
etcd's watch brought it into the watch cache, and the watchers were told. Between hops of one line, and from a write to
whoever saw it, there is an order that holds whatever the clocks say; within it the times decide.
"""

import bisect
import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labkit.observe.story import words
from labkit.observe.story.clocks import Clock, Who, clock_of, sent
from labkit.observe.story.lines import Applied, Line, Place, Step
from labkit.observe.story.relevant import TOGETHER, Chosen, names

ETCD = "etcd"


@dataclass(eq=False)
class Hop:
    """time: microseconds, the machine's clock put right. about: the child whose hop it is. wrote, saw: `object@17`.
    revision: of the write that it is a part of, 0 for others. clock: the time as the machine wrote it."""

    machine: str
    component: str
    time: int
    text: str
    place: Place
    clock: int = 0
    about: str = ""
    object: str = ""
    wrote: str = ""
    saw: str = ""
    decision: str = ""
    cause: str = ""
    revision: int = 0
    moved: bool = False
    causes: list["Hop"] = field(default_factory=list)


def hops_of(
    chosen: Chosen, applied: Sequence[Applied], clocks: Mapping[Who, Clock], *, everything: bool = False
) -> list[Hop]:
    """In order. everything: the way through the watch also of writes that nobody in the story acted on."""
    made = _Maker(chosen, applied, clocks, everything)
    return in_order(made.hops)


class _Maker:
    def __init__(
        self, chosen: Chosen, applied: Sequence[Applied], clocks: Mapping[Who, Clock], everything: bool
    ) -> None:
        self.hops: list[Hop] = []
        self._chosen = chosen
        self._clocks = clocks
        self._applied: dict[str, list[Applied]] = defaultdict(list)
        for each in sorted(applied, key=lambda each: each.revision):
            self._applied[each.machine].append(each)
        self._steps: dict[tuple[str, str, int, str], Hop] = {}
        self._first: dict[int, Hop] = {}
        self._last: dict[int, Hop] = {}
        self._decided: dict[tuple[str, str, str], Hop] = {}
        self._told: dict[int, Hop] = {}  # by revision: what whoever saw it came after
        seen = {(step.saw, step.revision) for line in chosen.lines for step in line.way if step.saw}
        for line in chosen.lines:
            if line.is_write:
                self._write(line, everything or (line.object, line.revision) in seen)
        for line in chosen.lines:
            if not line.is_write:
                self._decision(line)
        for line in chosen.lines:
            if line.is_write:
                self._link(line)

    def _add(self, hop: Hop, *causes: Hop | None) -> Hop:
        hop.causes += [cause for cause in causes if cause is not None]
        self.hops.append(hop)
        return hop

    def _hop(self, line: Line, time: int, text: str, place: Place) -> Hop:
        put_right = clock_of(self._clocks, line).microseconds
        return Hop(line.machine, line.component, time + put_right, text, place, time, self._chosen.about[id(line)],
                   line.object, cause=line.cause, revision=line.revision if line.is_write else 0)  # fmt: skip

    def _write(self, line: Line, watched: bool) -> None:
        """A request, a transaction, a revision; then the watch."""
        before: Hop | None = None
        for number, step in enumerate(line.way):
            text = words.transaction(line) if number == len(line.way) - 1 and number else words.request(line)
            hop = self._hop(line, step.time, text, step.place)
            if number == len(line.way) - 1 and number:
                hop.component = ETCD
            before = self._add(hop, before)
            self._first.setdefault(id(line), before)
        asked = before
        stored = self._hop(line, line.time, words.stored(line), line.place)
        stored.decision, stored.wrote = line.decision, f"{line.object}@{line.revision}"
        self._last[id(line)] = self._add(stored, before)
        self._first.setdefault(id(line), stored)
        self._told[line.revision] = asked or stored
        if watched and (back := self._came_back(line)):
            cached = self._hop(line, back.time, words.cached(line), back.place)
            self._add(cached, asked)
            told = self._hop(line, back.time, words.told(back), back.teller)
            self._told[line.revision] = self._add(told, cached)

    def _came_back(self, line: Line) -> Applied | None:
        """When the revision came into the watch cache of the server that wrote it."""
        batches = self._applied[line.machine]
        place = bisect.bisect_left(batches, line.revision, key=lambda each: each.revision)
        found = batches[place] if place < len(batches) else None
        return found if found and 0 <= found.time - sent(line) < 60_000_000 else None

    def _decision(self, line: Line) -> None:
        steps = [step for step in line.way if not step.wrote]  # the answer to a request: the write itself is told
        before = None if steps and steps[0].begins else self._decided_before(line)
        for step in steps:
            before = self._step(line, step, before)
        hop = self._hop(line, line.time, words.decided(line), line.place)
        hop.decision = line.decision
        self._last[id(line)] = self._add(hop, before)
        self._decided[line.machine, line.component, line.object] = hop

    def _decided_before(self, line: Line) -> Hop | None:
        """The steps went along with an earlier decision: that of which this one says it came, or the last about it."""
        about = (line.cause.partition(" ")[0], line.object)
        known = (self._decided.get((line.machine, line.component, path)) for path in about)
        return next((hop for hop in known if hop is not None and line.time - hop.clock <= TOGETHER), None)

    def _step(self, line: Line, step: Step, before: Hop | None) -> Hop:
        """A step is told once, though several lines may have come of it."""
        known = (line.machine, line.component, step.time, step.place.function)
        if (hop := self._steps.get(known)) is None:
            hop = self._hop(line, step.time, words.step(step, line), step.place)
            hop.saw = f"{step.saw}@{step.revision}" if step.saw else ""
            self._steps[known] = self._add(hop, self._told.get(step.revision) if step.saw else None)
        if before is not None and before not in hop.causes:
            hop.causes.append(before)
        return hop

    def _link(self, write: Line) -> None:
        """A write comes after what asked for it; a line that names its write comes after that."""
        line = self._chosen.asked.get(id(write))
        if line is None:
            return
        asked, stored, first = self._last[id(line)], self._last[id(write)], self._first[id(write)]
        if names(line, write):
            first.causes += asked.causes[:1]
            asked.causes.append(stored)
            asked.wrote = stored.wrote
        elif line.time <= write.time:
            first.causes.append(asked)
        else:
            asked.causes.append(stored)


def in_order(hops: Sequence[Hop]) -> list[Hop]:
    """Causes before effects, else by time; what a clock puts before its cause is moved to it, and says so."""
    effects: dict[int, list[Hop]] = defaultdict(list)
    waits: dict[int, int] = {}
    for hop in hops:
        waits[id(hop)] = len(hop.causes)
        for cause in hop.causes:
            effects[id(cause)].append(hop)
    ready = [(hop.time, number, hop) for number, hop in enumerate(hops) if not hop.causes]
    heapq.heapify(ready)
    numbers = {id(hop): number for number, hop in enumerate(hops)}
    ordered: list[Hop] = []
    while ready:
        _, _, hop = heapq.heappop(ready)
        ordered.append(hop)
        for effect in effects[id(hop)]:
            if effect.time < hop.time:
                effect.time, effect.moved = hop.time, True
            waits[id(effect)] -= 1
            if not waits[id(effect)]:
                heapq.heappush(ready, (effect.time, numbers[id(effect)], effect))
    if len(ordered) < len(hops):  # lines that contradict each other: told by their times
        told = set(map(id, ordered))
        ordered += sorted((hop for hop in hops if id(hop) not in told), key=lambda hop: hop.time)
        ordered.sort(key=lambda hop: hop.time)
    return ordered
