"""A line of a journal, as labkit/trace.py wrote it; whatever else is in a journal is None.

Text from a journal is somebody else's: what a terminal would obey (escape sequences, text from right to left) is made
visible before anybody prints it.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

API_SERVER = "kube-apiserver"
TOLD = "told the watchers"
_HEAD = {"time", "component", "level", "decision", "object", "uid", "resourceVersion", "cause", "function", "file",
         "line", "way", "applied", "by"}  # fmt: skip
_AGENT = re.compile(r"(?P<verb>[A-Z]+) by (?P<user>\S+)(?: \((?P<agent>[^)/]*)[^)]*\))?")
_PLACE = re.compile(r"(?:(?P<file>\S+):(?P<line>\d+) )?(?P<function>\S+)")


class _Step(msgspec.Struct):
    time: int
    by: str
    saw: str = ""
    wrote: str = ""
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    what: str = ""
    begins: bool = False


class _Line(msgspec.Struct):
    time: int
    component: str
    decision: str
    object: str = ""
    uid: str = ""
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    cause: str = ""
    function: str = ""
    file: str = ""
    line: int = 0
    way: list[_Step] = []
    applied: list[tuple[int, int, int, int]] = []
    by: str = ""


@dataclass(frozen=True)
class Place:
    """Where a function stands: `plan`, `labkit/components/kubelet/plan.py`, 36. file: "" when that is not known."""

    function: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else ""


@dataclass(frozen=True)
class Step:
    """A step on the way to a decision. saw, wrote: an object, and at which revision. begins: it came from outside."""

    time: int
    place: Place
    saw: str = ""
    wrote: str = ""
    revision: int = 0
    what: str = ""
    begins: bool = False


@dataclass(frozen=True)
class Line:
    """A decision. number: its place in the machine's journal. fields: what only this decision tells."""

    machine: str
    number: int
    time: int
    component: str
    decision: str
    place: Place
    object: str = ""
    uid: str = ""
    revision: int = 0
    cause: str = ""
    way: tuple[Step, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_write(self) -> bool:
        """kube-apiserver stored it, as that revision."""
        return self.component == API_SERVER and self.revision > 0 and bool(self.object)

    @property
    def agent(self) -> str:
        """Whose request it was: `kube-scheduler`, `kubectl`."""
        found = asked_by(self.cause)
        return (found["agent"] or "") if found else ""


@dataclass(frozen=True)
class Applied:
    """A server's watch cache had all revisions up to this one at `time`, and `told` us later so many watchers knew."""

    machine: str
    revision: int
    time: int
    told: int
    watchers: int
    place: Place
    teller: Place


_lines: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)
_fields = msgspec.json.Decoder(dict[str, Any])


def parse(machine: str, number: int, text: str) -> Line | list[Applied] | None:
    """None for what is no decision: other programs' lines, what was cut off, what lacks a field or has a wrong one."""
    if not text.startswith("{"):
        return None
    try:
        raw, fields = _lines.decode(text), _fields.decode(text)
        return _applied(machine, raw) if raw.decision == TOLD else _line(machine, number, raw, fields)
    except (msgspec.MsgspecError, UnicodeError, ValueError):
        return None


def parse_all(journals: Mapping[str, Iterable[str]]) -> tuple[list[Line], list[Applied]]:
    """All that the journals of these machines hold."""
    lines: list[Line] = []
    applied: list[Applied] = []
    for machine, texts in journals.items():
        for number, text in enumerate(texts):
            found = parse(machine, number, text)
            if isinstance(found, Line):
                lines.append(found)
            elif found is not None:
                applied += found
    return lines, applied


def _line(machine: str, number: int, raw: _Line, fields: Mapping[str, Any]) -> Line:
    return Line(
        machine, number, raw.time, clean(raw.component), clean(raw.decision),
        Place(clean(raw.function.rpartition(":")[2]), clean(raw.file), raw.line), clean(raw.object), clean(raw.uid),
        int(raw.resource_version or 0), clean(raw.cause), tuple(map(_step, raw.way)),
        {clean(name): _cleaned(value) for name, value in fields.items() if name not in _HEAD},
    )  # fmt: skip


def _step(raw: _Step) -> Step:
    return Step(
        raw.time, place_of(raw.by), clean(raw.saw), clean(raw.wrote), int(raw.resource_version or 0), clean(raw.what),
        raw.begins or bool(raw.saw),
    )  # fmt: skip


def _applied(machine: str, raw: _Line) -> list[Applied]:
    place, teller = Place(raw.function.rpartition(":")[2], raw.file, raw.line), place_of(raw.by)
    return [Applied(machine, revision, time, took, watchers, place, teller)
            for revision, time, took, watchers in raw.applied]  # fmt: skip


def place_of(text: str) -> Place:
    """`labkit/client/queue.py:69 WorkQueue.get`."""
    found = _PLACE.fullmatch(clean(text))
    return Place(found["function"], found["file"] or "", int(found["line"] or 0)) if found else Place(clean(text))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if isinstance(value, dict):
        return {clean(name): _cleaned(each) for name, each in value.items()}
    return value


def asked_by(cause: str) -> re.Match[str] | None:
    """verb, user and agent of `POST by system:kube-scheduler (kube-scheduler/0.1.0)`."""
    return _AGENT.match(cause)


def clean(text: str) -> str:
    """The text with everything visible that is not: ESC becomes \\x1b."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\x{ord(char):02x}" if unicodedata.category(char)[0] == "C" or char in "\u2028\u2029" else char
        for char in text
    )
