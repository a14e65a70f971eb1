"""Which lines belong to the story of an object: what happened to it and its children, and what came of that.

    the target, what it created (pods of a controller, Endpoints of a service)      all lines about them
    what saw a revision that one of these lines wrote, or names one of them
    as its cause                                                                    those lines, and what they wrote

Of other objects (the Endpoints of a service that selects the pods, say) only that belongs to it, not their whole life.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from labkit.observe.story.lines import API_SERVER, Line

CREATED = "created"
TOGETHER = 10_000_000
"""Microseconds: a service that was made so shortly before (by the same hand, mostly) is told of from its beginning."""


@dataclass
class Chosen:
    """family: the target and its children. lines: what belongs to the story. about: by id of a line, the child whose
    it is, "" for the target's own. asked: by id of a write, the decision that it came of, if one is known."""

    family: list[str]
    lines: list[Line] = field(default_factory=list)
    about: dict[int, str] = field(default_factory=dict)
    asked: dict[int, Line] = field(default_factory=dict)


def family_of(target: str, lines: Iterable[Line], owned: Iterable[str] = ()) -> list[str]:
    """The target, then what it created. owned: paths of objects that name it as their owner."""
    found = [target, *owned]
    found += [
        line.object for line in lines
        if line.decision == CREATED and line.component != API_SERVER and line.cause == target
    ]  # fmt: skip
    if target.startswith("services/"):
        found.append("endpoints/" + target.removeprefix("services/"))
    return list(dict.fromkeys(found))


def choose(target: str, lines: Sequence[Line], owned: Iterable[str] = (), related: Iterable[str] = ()) -> Chosen:
    """related: services that select what belongs to the family; they are told of from when it begins."""
    chosen = Chosen(family_of(target, lines, owned))
    search = _Search(lines, chosen)
    own = set(chosen.family)
    for line in lines:
        if line.object in own and not _is_event(line):
            search.take(line, "" if line.object == target else line.object)
    if first := min((line.time for line in chosen.lines), default=0):
        also = set(related)
        for line in lines:
            if line.object in also and line.time >= first - TOGETHER:
                search.take(line, "")
    search.spread()
    chosen.lines.sort(key=lambda line: (line.time, line.number))
    return chosen


class _Search:
    """Follows cause and effect forward."""

    def __init__(self, lines: Sequence[Line], chosen: Chosen) -> None:
        self.chosen = chosen
        self._writes = {line.revision: line for line in lines if line.is_write}
        self._family = set(chosen.family)
        self._taken: set[int] = set()
        self._new: deque[Line] = deque()
        self._saw: dict[tuple[str, int], list[Line]] = defaultdict(list)
        self._because: dict[str, list[Line]] = defaultdict(list)
        self._written: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            if _is_event(line):
                continue
            if line.is_write:
                self._written[line.object].append(line)
                continue
            for step in line.way:
                if step.saw:
                    self._saw[step.saw, step.revision].append(line)
            if "/" in line.cause:
                self._because[line.cause.partition(" ")[0]].append(line)

    def take(self, line: Line, about: str) -> None:
        if id(line) in self._taken:
            return
        self._taken.add(id(line))
        self._new.append(line)
        self.chosen.lines.append(line)
        self.chosen.about[id(line)] = about

    def spread(self) -> None:
        while self._new:
            line = self._new.popleft()
            about = self.chosen.about[id(line)]
            if line.is_write:
                self._seen(line, about)
            else:
                self._asked_for(line, about)
        for name in self.chosen.family:
            for line in self._because[name]:
                self.take(line, "" if name == self.chosen.family[0] else name)
        if self._new:
            self.spread()

    def _seen(self, write: Line, about: str) -> None:
        """What somebody decided who had seen it. The lives of other pods are other stories."""
        for line in self._saw[write.object, write.revision]:
            other = line.object.startswith("pods/") and line.object not in self._family
            if not other or self.chosen.family[0].startswith("nodes/"):
                self.take(line, about or self._child(line))

    def _child(self, line: Line) -> str:
        return line.object if line.object in self._family and line.object != self.chosen.family[0] else ""

    def _asked_for(self, line: Line, about: str) -> None:
        """What came of a component's request: the writes that its line names, or its next to the same object."""
        named = [step for step in line.way if step.wrote]
        for step in named:
            write = self._writes.get(step.revision)
            if write is not None and write.object == step.wrote:
                self.chosen.asked[id(write)] = line
                self.take(write, about)
        later = (each for each in self._written[line.object] if each.revision > line.revision)
        write = next((each for each in later if each.agent == line.component), None)
        if write is not None and not named:
            self.chosen.asked.setdefault(id(write), line)
            self.take(write, about)


def names(line: Line, write: Line) -> bool:
    """Whether a component's line tells of this write of its own, and so comes after it."""
    return any((step.wrote, step.revision) == (write.object, write.revision) for step in line.way)


def _is_event(line: Line) -> bool:
    return line.object.startswith("events/")
