"""What a story is told from, and what it is made of; as JSON these are `labkit story --json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from labkit.observe.story.lines import API_SERVER, Applied, Line, asked_by


@dataclass(frozen=True)
class Known:
    """What was gathered. owned: paths of objects that name the target as their owner; related: services that select
    its pods. exists: kube-apiserver has it; began: by machine, the oldest time (microseconds) in its journal."""

    target: str
    lines: Sequence[Line]
    applied: Sequence[Applied] = ()
    owned: Sequence[str] = ()
    related: Sequence[str] = ()
    exists: bool = False
    created: int = 0
    began: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    said: Sequence["Said"] = ()


class Said(msgspec.Struct, kw_only=True, rename="camel"):
    """An event that people read in `kubectl describe`."""

    object: str
    reason: str
    message: str
    source: str
    first: str
    count: int = 1


class Told(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """A hop. milliseconds: since the chapter began; since: since the hop before. time: microseconds since 1970, put
    right; clock: as the machine's own clock had it. file, line: of the function."""

    number: int
    milliseconds: float
    since: float
    time: int
    clock: int
    machine: str
    component: str
    text: str
    function: str
    file: str = ""
    line: int = 0
    decision: str = ""
    object: str = ""
    cause: str = ""
    wrote: str = ""
    saw: str = ""
    about: str = ""
    after: list[int] = []
    """Numbers of the hops that this one came of."""
    moved: bool = False
    """The clock put it before its cause: the time is the cause's."""

    @property
    def is_in_brief(self) -> bool:
        """A decision, what was stored, or what came from outside and began it all: not a component's request."""
        asked = asked_by(self.cause) if self.component == API_SERVER else None
        outside = not self.after and not (asked and asked["user"].startswith("system:"))
        return bool(self.decision) or outside


class Child(msgspec.Struct, kw_only=True, rename="camel"):
    """What became of a child, in milliseconds since the chapter began: `made`, `on agent1`, `Running`, `gone`."""

    object: str
    hops: int
    milestones: list[tuple[str, float]]


class Chapter(msgspec.Struct, kw_only=True, rename="camel"):
    """began: microseconds since 1970; later: milliseconds since the first chapter."""

    began: int
    later: float
    hops: list[Told]
    children: list[Child] = []
    repeated: list[str] = []


class Story(msgspec.Struct, kw_only=True, rename="camel"):
    """found: there is something to tell; what is not known stands in `notes`."""

    target: str
    found: bool
    exists: bool
    chapters: list[Chapter]
    repeated: list[str] = []
    """What made a chapter of its own again and again, as a node's heartbeat does: counted."""
    events: list[Said] = []
    notes: list[str] = []

    @property
    def count(self) -> int:
        return sum(len(chapter.hops) for chapter in self.chapters)
