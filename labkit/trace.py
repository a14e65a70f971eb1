"""One JSON line per decision, the same in every component.

    {"time": 1750000000000000, "component": "kube-scheduler", "level": "info", "decision": "bound",
     "object": "pods/default/redis-master-x7f2k", "uid": "...", "resourceVersion": "41", "cause": "pod added",
     "function": "labkit.components.kube_scheduler.algorithm:schedule", "file": "labkit/components/...py", "line": 88,
     "node": "agent1"}

`time` is in microseconds since 1970. The lines go to stdout, hence to the journal (`journalctl -u kube-scheduler -o
cat`). The tools that tell the story of an object or of a packet read nothing else.

Between what a component sees and what it decides lie steps that deserve no line of their own (an informer is told, a
key waits in a queue, a transaction is sent). They are noted as they happen and go along with the decision's line:

    "way": [{"time": ..., "by": "labkit/client/informer.py:115 Informer._apply", "saw": "pods/default/x",
             "resourceVersion": "41"}, {"time": ..., "by": "labkit/client/queue.py:75 WorkQueue.get"}]

A note costs half a microsecond. Who decides need not know of it: it is in a context variable, which every task has.
"""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec

from labkit.api.kinds import kind_of
from labkit.api.types import AnyObject, Object, key

_ROOT = Path(__file__).resolve().parent.parent
_encoder = msgspec.json.Encoder(enc_hook=str)


@functools.cache
def where(function: Callable[..., Any]) -> dict[str, Any]:
    """Where a function stands: `function` (module:name), `file` (from the repository's root) and `line`."""
    code = inspect.unwrap(function)
    name = f"{code.__module__}:{code.__qualname__}"
    try:
        path = Path(inspect.getsourcefile(code) or "")
        line = code.__code__.co_firstlineno if hasattr(code, "__code__") else inspect.getsourcelines(code)[1]
    except (TypeError, OSError):
        return {"function": name}
    return {
        "function": name,
        "file": str(path.relative_to(_ROOT) if path.is_relative_to(_ROOT) else path),
        "line": line,
    }


def object_path(obj: Object) -> str:
    """`pods/default/x`: resource and key."""
    return f"{kind_of(obj).resource}/{key(obj)}"


# -- the way to a decision -----------------------------------------------------------------------------------------

LONGEST = 12  # steps of one way; what goes round for ever must not grow for ever


class Step(NamedTuple):
    """A function was there at a time (microseconds). obj: what it was told of, or (wrote) what it got stored; what: a
    word about it; begins: nothing of ours came before."""

    time: int
    function: Callable[..., Any]
    obj: Object | None
    what: str
    wrote: bool = False
    begins: bool = False


_way: ContextVar[list[Step] | None] = ContextVar("way", default=None)


def begin(function: Callable[..., Any], obj: Object | None = None, what: str = "") -> None:
    """Something came from outside (a request, an event of a watch): a new way begins here, in this task."""
    _way.set([Step(time.time_ns() // 1000, function, obj, what, begins=True)])


def step(function: Callable[..., Any], what: str = "") -> None:
    """One more step on the way that this task is on, if it is on one."""
    way = _way.get()
    if way is not None and len(way) < LONGEST:
        way.append(Step(time.time_ns() // 1000, function, None, what))


def wrote(function: Callable[..., Any], obj: AnyObject) -> AnyObject:
    """A step: kube-apiserver stored this, as of this revision. The object again."""
    way = _way.get()
    if way is not None and len(way) < LONGEST:
        way.append(Step(time.time_ns() // 1000, function, obj, "", True))
    return obj


class Cause(str):
    """A cause that remembers the way on which it came, for whoever gathers causes and acts on them later."""

    __slots__ = ("way",)
    way: Sequence[Step]


def because(text: str) -> Cause:
    """The text as a cause, with the way up to here."""
    cause = Cause(text)
    cause.way = tuple(_way.get() or ())
    return cause


def go_on(cause: str) -> None:
    """This task now acts on that cause: its way is ours from here."""
    _way.set(list(cause.way) if isinstance(cause, Cause) else [])


@functools.cache
def place(function: Callable[..., Any]) -> str:
    """`labkit/client/queue.py:75 WorkQueue.get`."""
    found = where(function)
    name = found["function"].partition(":")[2]
    return f"{found['file']}:{found['line']} {name}" if "file" in found else name


def told(way: Sequence[Step]) -> list[dict[str, Any]]:
    """A way as a line has it."""
    lines = []
    for time_, function, obj, what, is_write, begins in way:
        line: dict[str, Any] = {"time": time_, "by": place(function)}
        if obj is not None:
            line["wrote" if is_write else "saw"] = object_path(obj)
            line["resourceVersion"] = obj.metadata.resource_version
        elif begins:
            line["begins"] = True
        if what:
            line["what"] = what
        lines.append(line)
    return lines


def _way_to(cause: str) -> list[dict[str, Any]]:
    """The steps since the last line, which are told once."""
    if isinstance(cause, Cause) and cause.way:
        return told(cause.way)
    way = _way.get()
    if not way:
        return []
    lines = told(way)
    way.clear()
    return lines


class Tracer:
    """Writes the lines of one component; every line is one write, so lines of threads never mix."""

    def __init__(self, component: str, out: TextIO | None = None) -> None:
        self.component = component
        self._out = out

    def decision(
        self, decision: str, obj: Object | None = None, *, cause: str = "", function: Callable[..., Any], **fields: Any
    ) -> None:
        """A component decided something about an object. `cause` is what it saw, `function` is what decided."""
        line: dict[str, Any] = {"decision": decision}
        if obj is not None:
            meta = obj.metadata
            line |= {"object": object_path(obj), "uid": meta.uid, "resourceVersion": meta.resource_version}
        line |= {"cause": str(cause)} | where(function) | fields
        if way := _way_to(cause):
            line["way"] = way
        self._write("info", line)

    def log(self, text: str, *, level: str = "info", **fields: Any) -> None:
        """Something worth a line that is no decision about an object; level info, warning or error."""
        self._write(level, {"message": text} | fields)

    def _write(self, level: str, fields: dict[str, Any]) -> None:
        line = {"time": time.time_ns() // 1000, "component": self.component, "level": level} | fields
        out = self._out or sys.stdout
        out.write(_encoder.encode(line).decode() + "\n")
        out.flush()
