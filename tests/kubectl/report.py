"""The matrix as people read it: commands down, versions across, and below it what failed and why."""

from collections.abc import Sequence

from rich.table import Table

from tests.kubectl.play import Result, Row

HEAD = """# Which kubectl can do what

Every command of the table in `tests/kubectl/rows/`, played by real kubectl against kube-apiserver with etcd, the
controllers, the scheduler and a kubelet. `make matrix` wrote this page; `make kubectl` plays some of the versions as
part of `make test`. Empty: this version does not have the command, or another row is for it.

"""


def cells(rows: Sequence[Row], versions: Sequence[str], results: Sequence[Result]) -> list[list[str]]:
    """A line per row: its name, then `ok`, `fails` or nothing for each version."""
    found = {(result.row, result.version): "fails" if result.reason else "ok" for result in results}
    return [[row.name, *(found.get((row.name, version), "") for version in versions)] for row in rows]


def failures(results: Sequence[Result]) -> list[str]:
    """`1.32 describe svc: expected ...`, one line each."""
    return [f"{one.version} {one.row}: {' '.join(one.reason.split())}" for one in results if one.reason]


def summary(versions: Sequence[str], results: Sequence[Result]) -> str:
    passed = sum(not result.reason for result in results)
    return f"{len(versions)} versions, {len(results)} rows played, {passed} passed, {len(results) - passed} failed"


def table(rows: Sequence[Row], versions: Sequence[str], results: Sequence[Result]) -> Table:
    """For the terminal."""
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("kubectl 1.")
    for version in versions:
        shown.add_column(version.partition(".")[2], no_wrap=True, min_width=2)
    colours = {"ok": "[green]✓[/]", "fails": "[red]✗[/]"}
    for name, *line in cells(rows, versions, results):
        shown.add_row(name, *(colours.get(cell, cell) for cell in line))
    return shown


def markdown(rows: Sequence[Row], versions: Sequence[str], results: Sequence[Result]) -> str:
    """For docs/kubectl-matrix.md."""
    lines = [["kubectl", *versions], ["---"] * (1 + len(versions)), *cells(rows, versions, results)]
    text = HEAD + "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{summary(versions, results)}.\n"
    if reasons := failures(results):
        text += "\n## What fails\n\n" + "\n".join(f"- {reason}" for reason in reasons) + "\n"
    return text
