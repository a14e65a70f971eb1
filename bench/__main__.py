"""`make bench [WHAT=name]`: run the benchmarks, print a table, keep bench/results/NAME.json.

A benchmark is a module of this package with `rows(say) -> list[Row]`; its docstring says what it measures. Each is
bounded in count and time and takes away what it made.
"""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.peers import Missing
from bench.rows import Row, host, write

_NOT_BENCHMARKS = {"__main__", "rows", "processes", "proxy_modes", "proxy_syncs", "dns_follow", "peers", "load"}


def names() -> list[str]:
    """The benchmarks that there are, by module name."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in found if name not in _NOT_BENCHMARKS)


def table(name: str, rows: list[Row]) -> Table:
    shown = Table(title=name, title_justify="left")
    for column in ("what", "value", "unit", "goal", "met", "beside"):
        shown.add_column(column, justify="right" if column in ("value", "goal") else "left")
    for row in rows:
        goal = "" if row.goal is None else f"{'<=' if row.better == 'lower' else '>='} {row.goal:g}"
        met = {None: "", True: "yes", False: "NO"}[row.met]
        beside = "  ".join(f"{peer} {value:g}" for peer, value in row.beside.items())
        shown.add_row(
            row.name, f"{row.value:.3g}" if row.value < 1000 else f"{row.value:.0f}", row.unit, goal, met, beside
        )
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[[], *names()], help="one or more of: " + ", ".join(names()))
    chosen = parser.parse_args().what or names()
    console = Console()
    console.print("  ".join(f"{key} {value}" for key, value in host().items()))
    for name in chosen:
        module = importlib.import_module(f"bench.{name}")
        try:
            with console.status(name) as status:
                rows = module.rows(lambda text, status=status, name=name: status.update(f"{name}: {text}"))
        except (PermissionError, Missing) as exc:
            console.print(f"{name}: {exc}")
            return 2
        console.print(table(name, rows))
        for row in rows:
            if row.note:
                console.print(f"  {row.name}: [dim]{row.note}[/dim]")
        console.print(f"kept in {write(name, rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
