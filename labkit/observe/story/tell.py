"""The story: chapters of hops, each with its milliseconds; children after the first few summed up; what is not known.

A chapter begins when something comes from outside (a request, a container that died) after a while in which nothing
happened: a day of silence is no hop.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from labkit.observe.story import hops as hopping
from labkit.observe.story import words
from labkit.observe.story.clocks import Clock, Who, compare
from labkit.observe.story.hops import Hop
from labkit.observe.story.lines import API_SERVER
from labkit.observe.story.relevant import choose
from labkit.observe.story.told import Chapter, Child, Known, Story, Told

QUIET = 2_000_000
"""Microseconds without a hop after which what comes from outside begins a chapter."""
IN_FULL = 1
"""Children of a chapter whose hops are all told."""
SECOND = 1_000_000
SAME = 3
"""Writes that repeat (a node's heartbeat) told of a chapter; the others are counted."""


def tell(known: Known, *, everything: bool = False) -> Story:
    """everything: no child is summed up, no repetition counted."""
    chosen = choose(known.target, known.lines, known.owned, known.related)
    writes = {line.revision: line for line in known.lines if line.is_write}
    clocks = compare(chosen.lines, writes)
    ordered = hopping.hops_of(chosen, known.applied, clocks, everything=everything)
    numbers: dict[int, int] = {}
    found = parts(ordered)
    shown, repeated = (found, list[str]()) if everything else _without_beats(found)
    return Story(
        target=known.target, found=bool(ordered), exists=known.exists,
        chapters=[_chapter(part, ordered[0].time, numbers, everything) for part in shown], repeated=repeated,
        events=list(known.said), notes=[*known.notes, *_clock_notes(clocks), *_gaps(known, bool(ordered))],
    )  # fmt: skip


def parts(ordered: Sequence[Hop]) -> list[list[Hop]]:
    """The hops by chapters."""
    found: list[list[Hop]] = []
    for hop in ordered:
        if not found or (not hop.causes and hop.time - found[-1][-1].time > QUIET):
            found.append([])
        found[-1].append(hop)
    return found


def _chapter(part: Sequence[Hop], start: int, numbers: dict[int, int], everything: bool) -> Chapter:
    shown = list(part)
    children: list[Child] = []
    repeated: list[str] = []
    if not everything:
        shown, children = _sum_up(shown)
        shown, repeated = _count_repeated(shown)
    began, before = shown[0].time, shown[0].time
    told = []
    for hop in shown:
        numbers[id(hop)] = len(numbers) + 1
        told.append(_told(hop, numbers, began, before))
        before = hop.time
    return Chapter(
        began=began, later=(began - start) / 1000, hops=told, children=children, repeated=repeated,
    )  # fmt: skip


def _told(hop: Hop, numbers: Mapping[int, int], began: int, before: int) -> Told:
    return Told(
        number=numbers[id(hop)], milliseconds=(hop.time - began) / 1000, since=(hop.time - before) / 1000,
        time=hop.time, clock=hop.clock, machine=hop.machine, component=hop.component, text=hop.text,
        function=hop.place.function,
        file=hop.place.file, line=hop.place.line, decision=hop.decision, object=hop.object, cause=hop.cause,
        wrote=hop.wrote, saw=hop.saw, about=hop.about, moved=hop.moved,
        after=sorted({numbers[id(cause)] for cause in hop.causes if id(cause) in numbers}),
    )  # fmt: skip


def _sum_up(part: Sequence[Hop]) -> tuple[list[Hop], list[Child]]:
    """The first children in full, of the others what became of them."""
    about = list(dict.fromkeys(hop.about for hop in part if hop.about))
    others = about[IN_FULL:]
    if not others:
        return list(part), []
    by_child: dict[str, list[Hop]] = defaultdict(list)
    for hop in part:
        by_child[hop.about].append(hop)
    children = [_child(name, by_child[name], part[0].time) for name in others]
    left_out = set(others)
    return [hop for hop in part if hop.about not in left_out], children


def _child(name: str, part: Sequence[Hop], began: int) -> Child:
    milestones: dict[str, float] = {}
    for hop in part:
        if word := _milestone(hop, name):
            milestones.setdefault(word, (hop.time - began) / 1000)
    return Child(object=name, hops=len(part), milestones=list(milestones.items()))


def in_short(chapter: Chapter) -> list[Told]:
    """All hops of the first child, of the others only those that `Child` would name."""
    first = next((hop.about for hop in chapter.hops if hop.about), "")
    return [hop for hop in chapter.hops if hop.about in ("", first) or _milestone(hop, hop.about)]


def _milestone(hop: Hop | Told, name: str) -> str:
    """What of a child's hops is worth a word when the others are left out."""
    if hop.object != name or not hop.decision:
        return ""
    if hop.component == API_SERVER:
        return {"created": "made", "bound": "bound", "deleted": "gone", "deletion started": "to be deleted"}.get(
            hop.decision, ""
        )
    if hop.decision == "status written":
        return "Running" if ": Running" in hop.text else ""
    return "its first container" if hop.decision == "start container" else ""


def _without_beats(found: Sequence[list[Hop]]) -> tuple[list[list[Hop]], list[str]]:
    """The chapters but for those that only repeat what was told SAME times already, and which nobody acted on."""
    times: Counter[tuple[str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    shown = []
    for part in found:
        kinds = {(hop.object, hop.cause) for hop in part}
        if len(kinds) == 1 and all(hop.revision for hop in part):
            kind = kinds.pop()
            times[kind] += 1
            if times[kind] > SAME:
                left_out[kind] += 1
                continue
        shown.append(part)
    return shown, _counted(left_out)


def _count_repeated(part: Sequence[Hop]) -> tuple[list[Hop], list[str]]:
    """Writes of the same kind that nobody acted on: the first few, then a number."""
    of_write = {hop.revision: hop for hop in part if hop.revision and hop.decision}
    acted = {cause.revision for hop in part if not hop.revision for cause in hop.causes}
    times: Counter[tuple[str, str]] = Counter()
    left_out: dict[int, tuple[str, str]] = {}
    for revision, hop in of_write.items():
        kind = (hop.object, hop.cause)
        times[kind] += 1
        if times[kind] > SAME and revision not in acted:
            left_out[revision] = kind
    return [hop for hop in part if hop.revision not in left_out], _counted(Counter(left_out.values()))


def _counted(left_out: Counter[tuple[str, str]]) -> list[str]:
    return [
        f"{count} more like this: {words.who(cause)}: {words.short(object)}"
        for (object, cause), count in left_out.items()
    ]


def _clock_notes(clocks: Mapping[Who, Clock]) -> Iterable[str]:
    for (machine, component), clock in clocks.items():
        whose = f"The clock of {component} on {machine}" if component else f"{machine}'s clock"
        if clock.jumped:
            yield (
                f"{whose} jumped: no single correction puts its times in order. Its hops stand where causes"
                " allow, and their milliseconds are no measure."
            )
        elif clock.microseconds:
            word = "behind" if clock.microseconds > 0 else "ahead of"
            unsure = f", give or take {clock.unsure / 1000:.1f} ms" if clock.unsure < float("inf") else " at least"
            yield (
                f"{whose} is {abs(clock.microseconds) / 1000:.1f} ms {word} the master's{unsure}: told from"
                " what must have come first (resourceVersions). Its times are put right here."
            )


def _gaps(known: Known, found: bool) -> Iterable[str]:
    """What cannot be told. A journal that is empty (of a machine that is new) lacks nothing."""
    if not found and not known.exists:
        yield "kube-apiserver does not have it, and no journal names it: it never was, or it is long gone."
        for name, began in list(known.began.items())[:1]:  # the master's: every write is in it
            since = datetime.fromtimestamp(began / 1e6, UTC)
            yield f"The journal of {name} goes back to {since:%Y-%m-%d %H:%M:%S} UTC."
    if known.created and (late := [name for name, began in known.began.items() if began > known.created + SECOND]):
        yield f"The journal of {', '.join(late)} begins after it was created: what came before was rotated away."


def as_json(story: Story) -> str:
    return msgspec.json.format(msgspec.json.encode(story).decode(), indent=2) + "\n"
