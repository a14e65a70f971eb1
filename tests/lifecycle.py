"""What becomes of pods in 0.18.2 and here, side by side: `python -m tests.lifecycle` writes docs/lifecycle.md.

    lives.py     the pods, and what they become here: played on docker (node/test_lives.py) and on its twin
    lives.toml   what they became under Kubernetes 0.18.2, and the reasons for every difference

tests/unit/test_lifecycle.py holds the two together: a row that is not the same has a reason, any other has none.
"""

import ast
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.lives import LIVES, Life, begin

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "lifecycle.md"


class Case(NamedTuple):
    """What 0.18.2 came to with the pod of a life. differs: names of the reasons."""

    becomes: Sequence[str]
    events: set[str]
    differs: Sequence[str]

    def same(self, life: Life) -> bool:
        return list(self.becomes) == list(life.becomes) and self.events == life.all_events


class Step(NamedTuple):
    """tests: `folder/test_file.py:test_name` of each. why: "" where it is the same."""

    step: str
    original: str
    here: str
    tests: Sequence[str]
    why: str = ""


def cases() -> dict[str, Case]:
    """By the name of the life, those that were recorded."""
    return {name: _case(fields, _life(name)) for name, fields in _file()["cases"].items()}


def _case(fields: dict[str, Any], life: Life) -> Case:
    begins = fields.get("begins", [each["name"] for each in life.containers])
    events = {line for name in ("POD", *begins) for line in begin(name)} | set(fields.get("events", ()))
    return Case(fields["becomes"], events, fields.get("differs", ()))


def _life(name: str) -> Life:
    return next(life for life in LIVES if life.name == name)


def steps() -> list[Step]:
    return [Step(**fields) for fields in _file()["steps"]]


def reasons() -> dict[str, str]:
    found: dict[str, str] = _file()["differs"]
    return found


def _file() -> dict[str, Any]:
    return tomllib.loads((TESTS / "lives.toml").read_text())


def has_test(named: str) -> bool:
    """Whether `folder/test_file.py:test_name` is there."""
    file, _, name = named.partition(":")
    path = TESTS / file
    return path.exists() and any(getattr(node, "name", "") == name for node in ast.walk(ast.parse(path.read_text())))


# -- the page ----------------------------------------------------------------------------------------------------------


def page() -> str:
    """docs/lifecycle.md."""
    recorded = cases()
    same = sum(case.same(_life(name)) for name, case in recorded.items())
    lines = [
        "# What becomes of a pod: 0.18.2 and labkit",
        "",
        "The same pods under Kubernetes 0.18.2 (recorded, 70 s after they were created) and here (played on docker",
        "by `tests/node/test_lives.py`, on docker's twin by its unit test; both compare every line below and every",
        f"event). Of {len(recorded)} recorded cases {same} are the same to the letter; the others differ for these",
        "reasons and no other:",
        "",
        *(f"- **{name}**: {text}." for name, text in reasons().items()),
        "",
        "`ID` is docker's id, `DOCKER` docker's own words. Every pod is also told `created` and `started` of its",
        "pause container (`implicitly required container POD`) and of each container that began; that is compared as",
        "well and not shown.",
        "",
        "| golden case | original | ours | same? |",
        "|---|---|---|---|",
        *(_row(_life(name), case) for name, case in recorded.items()),
        "",
        "## Not recorded, but played",
        "",
        "| case | ours |",
        "|---|---|",
        *(f"| {life.name} | {_told(life.becomes, life.all_events)} |" for life in LIVES if life.name not in recorded),
        "",
        "## Steps of many lives",
        "",
        "| step | original | ours | same? | tested in |",
        "|---|---|---|---|---|",
        *(_step(step) for step in steps()),
        "",
        "Made from `tests/lives.py` and `tests/lives.toml` by `python -m tests.lifecycle`; the last column names the",
        "files below `tests/`. All other differences: [differences.md](differences.md).",
    ]
    return "\n".join(lines) + "\n"


def _row(life: Life, case: Case) -> str:
    verdict = "yes" if case.same(life) else f"no: {', '.join(case.differs)}"
    return f"| {life.name} | {_told(case.becomes, case.events)} | {_told(life.becomes, life.all_events)} | {verdict} |"


def _told(becomes: Sequence[str], events: set[str]) -> str:
    """A status and the events that do not only say that a container began."""
    shown = sorted(line for line in events if not line.startswith(("created", "started")))
    return "<br>".join([", ".join(becomes[:2]), *becomes[2:], *(f"*{line.rstrip()}*" for line in shown)])


def _step(step: Step) -> str:
    files = ", ".join(dict.fromkeys(f"`{test.partition('.py:')[0]}`" for test in step.tests))
    verdict = f"no: {step.why}" if step.why else "yes"
    return f"| {step.step} | {step.original} | {step.here} | {verdict} | {files} |"


if __name__ == "__main__":
    PAGE.write_text(page())
