"""What every command needs: the option --cluster, the consoles, and how an expected failure ends the program."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision.report import ConsoleReport

DEFAULT_CLUSTER = "lab"
INTERRUPTED = 130

out = Console()
err = Console(stderr=True)

Name = Annotated[
    str, typer.Option("--cluster", envvar="LABKIT_CLUSTER", help="Which cluster.", rich_help_panel="Cluster")
]


def fail(message: str, code: int) -> NoReturn:
    err.print(escape(message), style="red", soft_wrap=True, highlight=False)
    sys.exit(code)


def load_or_init(name: str) -> Cluster:
    """The cluster; the repository's default under that name when there is none yet."""
    return clusters.load(name) if name in clusters.names() else clusters.init(name)


def machine_of(cluster: Cluster, name: str) -> clusters.Machine:
    try:
        return cluster.machine(name)
    except KeyError as exc:
        raise typer.BadParameter(str(exc.args[0]), param_hint="MACHINE") from exc


@contextmanager
def reporting(comfort: str) -> Iterator[ConsoleReport]:
    """Steps on the terminal; Ctrl-C ends with a word on what becomes of what was done."""
    try:
        with ConsoleReport(out) as report:
            yield report
    except KeyboardInterrupt:
        fail(f"interrupted: {comfort}", INTERRUPTED)
