"""The front matter of a page: what a lab says of itself, between two lines `---`.

title: "..."                     minutes: 20                objectives: [...]
needs: {agents: 2, labs: [redis-master]}                    what must be there, and what was learned before
reads: [labkit/components/...]                              the files of labkit that it is about
varies: {PORT: 8001-8099, SHOP: [web, shop, store]}         optional: differs per learner, the first is recorded
view: endpoints                                             optional: what the side view begins with
parallel: true                                              optional: stays in one namespace, whichever
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from labkit.guide.format import LabError
from labkit.guide.views import VIEWS

_NEEDED = {"title": str, "minutes": int, "objectives": list, "needs": dict, "reads": list}
_MAY = {"varies": dict, "view": str, "parallel": bool}
_NEEDS = "{agents: NUMBER} and perhaps labs: [NAME, ...]"
_VARIES = "NAME: [one, other, ...] or NAME: FIRST-LAST, NAME of A-Z, 0-9 and _"


@dataclass(frozen=True)
class Front:
    """`lines`: how many lines of the file it takes."""

    title: str
    minutes: int
    objectives: tuple[str, ...]
    agents: int
    labs: tuple[str, ...]
    reads: tuple[str, ...]
    varies: Mapping[str, tuple[str, ...]]
    view: str
    parallel: bool
    lines: int


def read_front(text: str, path: Path) -> Front:
    """Raises LabError with the line of what is wrong."""
    lines = text.splitlines()
    expected = "front matter between two lines '---' with " + ", ".join(_NEEDED)
    if not lines or lines[0].strip() != "---" or "---" not in (line.strip() for line in lines[1:]):
        raise LabError(path, 1, "has no front matter", expected)
    end = next(i for i, line in enumerate(lines[1:], 1) if line.strip() == "---")
    try:
        fields = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.MarkedYAMLError as exc:
        line = (exc.problem_mark.line if exc.problem_mark else 0) + 2
        raise LabError(path, line, f"front matter is no YAML: {exc.problem}", expected) from exc
    if not isinstance(fields, dict):
        raise LabError(path, 2, "front matter is no mapping", expected)
    return _Fields(path, lines, fields).front(end + 1)


class _Fields:
    """The fields as YAML has them, and where to point when one is wrong."""

    def __init__(self, path: Path, lines: list[str], fields: dict[str, Any]) -> None:
        self._path, self._lines, self._fields = path, lines, fields

    def front(self, lines: int) -> Front:
        for key, kind in (_NEEDED | _MAY).items():
            value = self._fields.get(key)
            if not (isinstance(value, kind) or (key in _MAY and value is None)):
                self._fail(key, f"{key}: {value!r}", f"a {kind.__name__}")
            wrong = [each for each in value if not isinstance(each, str)] if isinstance(value, list) else []
            if wrong:
                self._fail(key, f"{key}: {wrong[0]!r}", 'words; in quotes where a ": " is among them')
        if unknown := sorted(set(self._fields) - set(_NEEDED | _MAY)):
            self._fail(unknown[0], f"unknown {unknown[0]}", ", ".join(_NEEDED | _MAY))
        needs, view = self._fields["needs"], self._fields.get("view", "pods")
        if not isinstance(needs.get("agents"), int) or not isinstance(needs.get("labs", []), list):
            self._fail("needs", f"needs: {needs!r}", _NEEDS)
        if set(needs) - {"agents", "labs"}:
            self._fail("needs", f"needs: {needs!r}", _NEEDS)
        if view.split(":")[0] not in VIEWS:
            self._fail("view", f"view: {view}", "one of " + ", ".join(VIEWS))
        return Front(
            self._fields["title"], self._fields["minutes"], tuple(self._fields["objectives"]), needs["agents"],
            tuple(needs.get("labs", [])), tuple(self._fields["reads"]),
            {name: self._choices(name, value) for name, value in (self._fields.get("varies") or {}).items()},
            view, bool(self._fields.get("parallel")), lines)  # fmt: skip

    def _choices(self, name: object, value: object) -> tuple[str, ...]:
        if isinstance(name, str) and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            if isinstance(value, list) and len(value) > 1:
                return tuple(map(str, value))
            span = re.fullmatch(r"(\d{1,5})-(\d{1,5})", str(value))
            if span and int(span[1]) < int(span[2]):
                return tuple(map(str, range(int(span[1]), int(span[2]) + 1)))
        return self._fail("varies", f"varies: {name}: {value!r}", _VARIES)

    def _fail(self, key: str, problem: str, expected: str) -> NoReturn:
        line = next((i for i, line in enumerate(self._lines, 1) if line.startswith(f"{key}:")), 1)
        raise LabError(self._path, line, f"front matter: {problem}", expected)
