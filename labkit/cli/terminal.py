"""What every command needs: the option --cluster, the consoles, and how an expected failure ends the program."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from labkit import cluster as clusters
from labkit.cluster import Cluster, ClusterError
from labkit.provision import mirrors, own
from labkit.provision.lock import only_one
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


def use_mirrors(name: str) -> None:
    """For what is fetched without a change to the cluster: from where cluster.json says, if there is one."""
    if name in clusters.names():
        mirrors.use(clusters.load(name))


def machine_names() -> list[str]:
    """For the shell's completion: silent where something is wrong."""
    return [machine.name for cluster in _cluster() for machine in cluster.machines]


def service_names() -> list[str]:
    return list(
        dict.fromkeys(
            name for cluster in _cluster() for each in cluster.machines for name in own.services(cluster, each)
        )
    )


def _cluster() -> list[Cluster]:
    """The cluster, if there is one that can be read."""
    try:
        return [clusters.load(os.environ.get("LABKIT_CLUSTER", DEFAULT_CLUSTER))]
    except ClusterError:
        return []


def machine_of(cluster: Cluster, name: str) -> clusters.Machine:
    try:
        return cluster.machine(name)
    except KeyError as exc:
        raise typer.BadParameter(str(exc.args[0]), param_hint="MACHINE") from exc


@contextmanager
def reporting(comfort: str, changes: Cluster | None = None) -> Iterator[ConsoleReport]:
    """Steps on the terminal; Ctrl-C ends with a word on what becomes of what was done.

    changes: the cluster that is changed meanwhile, which nobody else may do then; its mirrors are used.
    """
    if changes:
        mirrors.use(changes)
    try:
        with only_one(changes) if changes else nullcontext(), ConsoleReport(out) as report:
            yield report
    except KeyboardInterrupt:
        fail(f"interrupted: {comfort}", INTERRUPTED)


def check_folder(svg: Path | None) -> None:
    """Before anything is asked: a picture that cannot be written is a wrong word."""
    if svg and not svg.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {svg.parent}", param_hint="--svg")


def write_picture(svg: Path, picture: str) -> None:
    try:
        svg.write_text(picture)
    except OSError as exc:
        fail(f"{svg}: {exc.strerror}", 2)
    err.print(f"drawn: {svg}", highlight=False, soft_wrap=True)
