"""`labkit fault`: break something on purpose, see it heal. All it does is in labkit/provision/faults."""

import re
import time
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table

from labkit import cluster as clusters
from labkit.cli.status_table import duration
from labkit.cli.terminal import DEFAULT_CLUSTER, Name, out
from labkit.cluster import Cluster, Machine
from labkit.provision.faults import disk, plan, play, whole
from labkit.provision.faults.book import Book, Fault
from labkit.provision.faults.plan import Command, Plan
from labkit.provision.faults.target import Target, Unclear, machine_named

_HELP = """Break something on purpose: each fault prints the commands that make it, and can be undone.

\b
  labkit fault kill kube-proxy@agent1          systemd starts it again
  labkit fault kill pod/redis-master-x1y2z     the kubelet starts it again
  labkit fault stop etcd                       until it is healed
  labkit fault pause agent2 --for 30s          the whole machine, for 30 seconds
  labkit fault partition agent1 agent2         no packet passes between them
  labkit fault partition agent1 --one-way      agent1 hears everybody, nobody hears agent1
  labkit fault slow agent1 master --rate 16    16 KiB a second from agent1 to the master
  labkit fault skew kubelet@agent1 --by 3600   its clock is an hour ahead
  labkit fault disk agent1                     no room for new pods' volumes
  labkit fault list                            what is broken now (labkit status says it, too)
  labkit fault heal                            undo all"""

app = typer.Typer(no_args_is_help=True, help=_HELP, short_help="Break something on purpose, and heal it.")
Where = Annotated[str, typer.Argument(metavar="TARGET", help="A machine, SERVICE@MACHINE, a service, or pod/NAME.")]
Container = Annotated[str, typer.Option("-c", "--container", help="Which container of the pod (the first).")]


def seconds_of(text: str | int) -> int:
    """30, 30s or 2m."""
    found = re.fullmatch(r"(\d+)(s|m|)", str(text))
    if not found:
        raise typer.BadParameter(f"{text}: expected a time like 30, 30s or 2m")
    return int(found[1]) * (60 if found[2] == "m" else 1)


For = Annotated[
    int,
    typer.Option("--for", parser=seconds_of, metavar="TIME",
                 help="Heal it after 30s, 2m: the machine does so itself, whatever becomes of this command"
                 " (of a whole machine that is off or paused: this command). Ctrl-C heals it at once."),
]  # fmt: skip
Dry = Annotated[bool, typer.Option("--dry-run", help="Only show the commands.")]
Peer = Annotated[str | None, typer.Argument(metavar="[OTHER]", help="Another machine (all others).")]
WHOLE_SECONDS = 120.0


@app.command()
def kill(target: Where, container: Container = "", dry_run: Dry = False, name: Name = DEFAULT_CLUSTER) -> None:
    """Kill a process, a service or a machine, as a crash does."""
    cluster = clusters.load(name)
    _do(cluster, plan.kill(cluster, _find(cluster, target, container)), 0, dry_run)


@app.command()
def pause(
    target: Where, container: Container = "", seconds: For = 0, dry_run: Dry = False, name: Name = DEFAULT_CLUSTER
) -> None:
    """Freeze it: it is there and answers nothing."""
    cluster = clusters.load(name)
    _do(cluster, plan.pause(cluster, _find(cluster, target, container)), seconds, dry_run)


@app.command()
def stop(
    target: Where, container: Container = "", seconds: For = 0, dry_run: Dry = False, name: Name = DEFAULT_CLUSTER
) -> None:
    """End it in order; a service or machine stays down until it is healed."""
    cluster = clusters.load(name)
    _do(cluster, plan.stop(cluster, _find(cluster, target, container)), seconds, dry_run)


@app.command()
def partition(
    machine: Annotated[str, typer.Argument(help="A machine.")],
    other: Peer = None,
    one_way: Annotated[bool, typer.Option("--one-way", help="Only what MACHINE sends is lost.")] = False,
    seconds: For = 0,
    dry_run: Dry = False,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Cut the link between machines, their pods' packets included."""
    cluster = clusters.load(name)
    one, others = _link(cluster, machine, other)
    _do(cluster, plan.partition(cluster, one, others, Book(cluster).next_number(), one_way), seconds, dry_run)


@app.command()
def slow(
    machine: Annotated[str, typer.Argument(help="A machine.")],
    other: Peer = None,
    rate: Annotated[int, typer.Option(min=1, max=100000, help="KiB a second to each address.")] = 32,
    loss: Annotated[float, typer.Option(min=0, max=100, help="So many percent of the packets are lost, too.")] = 0.0,
    delay: Annotated[
        int, typer.Option(min=0, max=10000, help="Instead: all comes so many milliseconds late (needs netem).")
    ] = 0,
    seconds: For = 0,
    dry_run: Dry = False,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Make a link slow, lossy or late."""
    cluster = clusters.load(name)
    one, others = _link(cluster, machine, other)
    made = (plan.delay(cluster, one, delay) if delay
            else plan.slow(cluster, one, others, Book(cluster).next_number(), rate, loss))  # fmt: skip
    _do(cluster, made, seconds, dry_run)


@app.command()
def skew(
    target: Where,
    by: Annotated[int, typer.Option(help="Seconds; negative: behind.")] = 3600,
    seconds: For = 0,
    dry_run: Dry = False,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Give one component a wrong clock. (Machines in containers share the host's clock: of a whole machine only a VM's
    can be wrong.)"""
    cluster = clusters.load(name)
    found = _find(cluster, target)
    whole_machine = not found.unit and not found.pod
    made = plan.skew_machine(cluster, found.machine, by) if whole_machine else plan.skew(found, by)
    _do(cluster, made, seconds, dry_run)


@app.command("disk")
def disk_full(
    machine: Annotated[str, typer.Argument(help="An agent.")],
    seconds: For = 0,
    dry_run: Dry = False,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Fill the disk of an agent's volumes: a small file system made for it, never the real one."""
    cluster = clusters.load(name)
    _do(cluster, disk.full(cluster, machine_named(cluster, machine), Book(cluster).next_number()), seconds, dry_run)


@app.command("list")
def list_faults(name: Name = DEFAULT_CLUSTER) -> None:
    """What is broken now."""
    faults = Book(clusters.load(name)).faults()
    if not faults:
        out.print("no faults", style="green")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("FAULT", "SINCE", "WHAT"):
        table.add_column(title)
    for fault in faults:
        table.add_row(str(fault.number), duration(int(time.time() - fault.since)), fault.says + _over(fault))
    out.print(table)
    out.print("undo: labkit fault heal [FAULT]", style="dim")


@app.command()
def heal(
    number: Annotated[int | None, typer.Argument(metavar="[FAULT]", help="Its number (all).")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the cluster is whole again, and say how long it took.")] = True,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Undo faults, the youngest first."""
    cluster = clusters.load(name)
    faults = [fault for fault in Book(cluster).faults() if number in (None, fault.number)]
    if not faults:
        out.print("there is nothing to heal" if number is None else f"there is no fault {number}: labkit fault list")
        raise typer.Exit(0 if number is None else 2)
    for fault in reversed(faults):
        out.print(f"healing {fault.number}: {fault.says}", highlight=False)
        play.undo(cluster, fault, _tell)
    if wait:
        _until_whole(cluster)


def _find(cluster: Cluster, text: str, container: str = "") -> Target:
    return play.find(cluster, text, container)


def _link(cluster: Cluster, machine: str, other: str | None) -> tuple[Machine, list[Machine]]:
    one = machine_named(cluster, machine)
    others = [machine_named(cluster, other)] if other else [each for each in cluster.machines if each != one]
    if one in others:
        raise Unclear(f"{machine} and {other} are the same machine")
    return one, others


def _tell(command: Command) -> None:
    out.print(str(command), style="cyan", highlight=False, soft_wrap=True, markup=False)


def _do(cluster: Cluster, wanted: Plan, seconds: int, dry_run: bool) -> None:
    number = Book(cluster).next_number()
    if seconds and wanted.lasts:
        wanted = plan.bounded(wanted, seconds, number)
    fault = play.make(cluster, wanted, number, _tell, dry_run)
    if dry_run:
        out.print("heal:" if wanted.lasts else "it heals by itself", style="dim")
        for command in wanted.undo:
            _tell(command)
        return
    out.print(wanted.says, style="yellow", highlight=False)
    if fault and seconds:
        _pass(cluster, fault, seconds)
    elif fault:
        out.print(f"undo: labkit fault heal {fault.number}", style="dim", highlight=False)


def _pass(cluster: Cluster, fault: Fault, seconds: int) -> None:
    """Wait, then heal; Ctrl-C heals at once."""
    try:
        with out.status(f"{fault.says}; Ctrl-C heals it now"):
            time.sleep(seconds)
    except KeyboardInterrupt:
        out.print("healing now", style="dim")
    play.undo(cluster, fault, _tell)
    _until_whole(cluster)


def _until_whole(cluster: Cluster) -> None:
    shown: list[str] = []
    with out.status("until the cluster is whole") as spinner:

        def look(lines: list[str]) -> None:
            shown[:] = lines
            spinner.update(lines[0] if lines else "whole")

        took = whole.wait(cluster, WHOLE_SECONDS, look)
    if took is not None:
        out.print(f"whole again after {took:.1f} s", style="green", highlight=False)
        return
    for line in shown:
        out.print(f"not whole: {line}", style="red", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def _over(fault: Fault) -> str:
    return ": over, the machine healed it itself" if fault.is_over(time.time()) else ""


def warn(cluster: Cluster) -> None:
    """For `labkit status`: what was broken on purpose."""
    _warn(Book(cluster).faults())


def _warn(faults: Iterable[Fault]) -> None:
    for fault in faults:
        since = duration(int(time.time() - fault.since))
        out.print(f"fault {fault.number}, since {since}: {fault.says}{_over(fault)} (labkit fault heal {fault.number})",
                  style="yellow", highlight=False, soft_wrap=True)  # fmt: skip
