"""One JSON line per decision, the same in every component.

    {"time": 1750000000000000, "component": "kube-scheduler", "level": "info", "decision": "bound",
     "object": "pods/default/redis-master-x7f2k", "uid": "...", "resourceVersion": "41", "cause": "pod added",
     "function": "labkit.components.kube_scheduler.algorithm:schedule", "file": "labkit/components/...py", "line": 88,
     "node": "agent1"}

`time` is in microseconds since 1970. The lines go to stdout, hence to the journal (`journalctl -u kube-scheduler -o
cat`). The tools that tell the story of an object or of a packet read nothing else.
"""

import functools
import inspect
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import msgspec

from labkit.api.kinds import kind_of
from labkit.api.types import Object, key

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
        self._write("info", line | {"cause": cause} | where(function) | fields)

    def log(self, text: str, *, level: str = "info", **fields: Any) -> None:
        """Something worth a line that is no decision about an object; level info, warning or error."""
        self._write(level, {"message": text} | fields)

    def _write(self, level: str, fields: dict[str, Any]) -> None:
        line = {"time": time.time_ns() // 1000, "component": self.component, "level": level} | fields
        out = self._out or sys.stdout
        out.write(_encoder.encode(line).decode() + "\n")
        out.flush()
