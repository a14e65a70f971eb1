"""The CIS Kubernetes Benchmark 1.10 as a table (cis.toml): which rows apply here, how each is met, what tests it.

    @pytest.mark.cis("1.2.6", "1.2.7")      on a test of any layer, or on one of its parameters

tests/unit/test_cis.py holds the table against the tests; `python -m tests.cis` writes docs/cis.md.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "cis.md"
OUTCOMES = ("here", "not_met", "not_here")


class Row(NamedTuple):
    """outcome: one of OUTCOMES; text: how it is met, or the reason."""

    number: str
    title: str
    outcome: str
    text: str


def table() -> dict[str, Row]:
    """Number -> row, in the benchmark's order. Raises ValueError for a row that is not complete."""
    found = {}
    for number, fields in _file().items():
        told = [name for name in fields if name in OUTCOMES]
        if number == "sections":
            continue
        if set(fields) != {"title", *told} or len(told) != 1:
            raise ValueError(f"cis.toml: {number}: expected a title and one of {', '.join(OUTCOMES)}")
        found[number] = Row(number, fields["title"], told[0], fields[told[0]])
    return found


def sections() -> dict[str, str]:
    return _file()["sections"]


def _file() -> dict[str, dict[str, str]]:
    return tomllib.loads((TESTS / "cis.toml").read_text())


def tested() -> dict[str, list[str]]:
    """Number -> the files (`node/test_cis.py`) with a test that carries it."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for number in sorted(set(_numbers(ast.parse(path.read_text())))):
            found.setdefault(number, []).append(str(path.relative_to(TESTS)))
    return found


def _numbers(tree: ast.AST) -> Iterator[str]:
    """What stands in the marks `pytest.mark.cis(...)` of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.cis":
            yield from (str(word.value) for word in node.args if isinstance(word, ast.Constant))


def page() -> str:
    """docs/cis.md."""
    rows, by_test = table(), tested()
    count = {outcome: sum(row.outcome == outcome for row in rows.values()) for outcome in OUTCOMES}
    lines = [
        "# The CIS Kubernetes Benchmark here",
        "",
        "What the Center for Internet Security's benchmark 1.10 asks of a cluster, row by row, in our own words. It",
        "was written for clusters of today: a lab with 2015's API lacks some of what it asks about, and shows some of",
        "what it asks to avoid.",
        "",
        "| | rows |",
        "|---|---|",
        f"| met, each with a test | {count['here']} |",
        f"| not met, on purpose | {count['not_met']} |",
        f"| nothing here that it could apply to | {count['not_here']} |",
        f"| all | {len(rows)} |",
        "",
        "Made from `tests/cis.toml` by `python -m tests.cis`; the last column names the files below `tests/`.",
    ]
    for prefix, title in sections().items():
        lines += ["", f"## {prefix} {title}", "", "| row | what is asked | here | tested in |", "|---|---|---|---|"]
        lines += [_line(row, by_test) for row in rows.values() if row.number.rpartition(".")[0] == prefix]
    return "\n".join(lines) + "\n"


def _line(row: Row, by_test: dict[str, list[str]]) -> str:
    verdict = {"here": "", "not_met": "**not met**: ", "not_here": "**does not apply**: "}[row.outcome]
    files = ", ".join(f"`{path.removesuffix('.py')}`" for path in by_test.get(row.number, []))
    return f"| {row.number} | {row.title} | {verdict}{row.text} | {files} |"


if __name__ == "__main__":
    PAGE.write_text(page())
