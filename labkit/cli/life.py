"""The commands of a cluster's life after `up`: sleep, snapshots, agents more or less, a newer labkit."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit import __version__
from labkit import cluster as clusters
from labkit.cli import inventory
from labkit.cli.machines import PANEL
from labkit.cli.terminal import DEFAULT_CLUSTER, Name, machine_names, out, reporting

app = typer.Typer()
snapshots = typer.Typer(no_args_is_help=True, help="Save the cluster's state, and go back to it: to before the lab.")
agents = typer.Typer(no_args_is_help=True, help="One agent more or less; the others go on with what they do.")
app.add_typer(snapshots, name="snapshot", rich_help_panel=PANEL)
app.add_typer(agents, name="agent", rich_help_panel=PANEL)
Snapshot = Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and -.")]


@app.command(rich_help_panel=PANEL)
def suspend(name: Name = DEFAULT_CLUSTER) -> None:
    """Let time stand still on all machines: no processor time, everything in memory. `labkit resume` goes on."""
    _sleep(name, "suspend", "suspended", "resume")


@app.command(rich_help_panel=PANEL)
def resume(name: Name = DEFAULT_CLUSTER) -> None:
    """Let suspended machines go on. (`labkit up` does so as well.)"""
    _sleep(name, "resume", "go on", "status")


def _sleep(name: str, verb: str, done: str, following: str) -> None:
    from labkit.provision.provider import machines

    cluster = clusters.load(name)
    with reporting(f"run `labkit {verb}` again", cluster) as report:
        report.step("host", f"{verb} the machines")
        touched = getattr(machines(cluster), verb)()
        report.done("host")
    out.print(
        f"{', '.join(touched)}: {done}; next: labkit {following}" if touched else "nothing to do", highlight=False
    )


@snapshots.command("save")
def save(which: Snapshot, name: Name = DEFAULT_CLUSTER) -> None:
    """Keep the state of the cluster that runs, under a name; an older one of that name is replaced.

    Virtual machines are kept whole. Where machines are containers: all objects (etcd), your progress in labs,
    components of your own; not what was written by hand into files of a machine or into volumes.
    """
    from labkit.provision import snapshot

    cluster = clusters.load(name)
    with reporting("nothing was kept; run it again", cluster) as report:
        snapshot.save(cluster, which, report)
    out.print(f"kept; `labkit snapshot restore {which}` goes back to it", style="green", highlight=False)


@snapshots.command("restore")
def restore(which: Snapshot, name: Name = DEFAULT_CLUSTER) -> None:
    """Go back to it: what came since is gone, what is gone since comes back; pods that are in both run through."""
    from labkit.provision import snapshot

    cluster = clusters.load(name)
    with reporting("run it again", cluster) as report:
        outcome = snapshot.restore(cluster, which, report)
    out.print(f"back at {which}; nodes Ready: {', '.join(outcome.nodes)}", style="green", highlight=False)


@snapshots.command("list")
def listed(name: Name = DEFAULT_CLUSTER) -> None:
    """Those that there are, oldest first."""
    from labkit.provision import snapshot

    for which, about in snapshot.listed(clusters.load(name)).items():
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(about.time))
        kind = "whole machines" if about.whole else "state"
        out.print(
            f"{which:<20} {when}  {kind}, labkit {about.version}, {len(about.machines)} machines", highlight=False
        )


@snapshots.command("delete")
def delete(which: Snapshot, name: Name = DEFAULT_CLUSTER) -> None:
    """Forget one."""
    from labkit.provision import snapshot

    snapshot.delete(clusters.load(name), which)


@agents.command("add")
def add(
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    name: Name = DEFAULT_CLUSTER,
    inventory_: Annotated[Path | None, inventory.OPTION] = None,
) -> None:
    """Make another agent and let it join. With --inventory: the hosts that this has more than before (ssh)."""
    from labkit.provision import agents as changing

    cluster = clusters.load(name)
    known = {machine.name for machine in cluster.machines}
    if inventory_:
        cluster = inventory.load(name, None, inventory_)
    with reporting("`labkit up` goes on from here", cluster) as report:
        outcome = changing.join(cluster, known, report) if inventory_ else changing.add(cluster, count, report)
    out.print(f"nodes Ready: {', '.join(outcome.nodes)}", style="green", highlight=False)


@agents.command("remove")
def remove(
    agent: Annotated[str, typer.Argument(help="agent2, ...", autocompletion=machine_names)],
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Move its pods away, and remove the machine and its node."""
    from labkit.provision import agents as changing

    cluster = clusters.load(name)
    with reporting("run it again, or `labkit up`", cluster) as report:
        outcome = changing.remove(cluster, agent, report)
    out.print(f"nodes Ready: {', '.join(outcome.nodes)}", style="green", highlight=False)


@app.command(rich_help_panel=PANEL)
def upgrade(name: Name = DEFAULT_CLUSTER) -> None:
    """Bring a running cluster to this labkit, component by component; pods run through. Exit code 1 if one did not.

    Install the newer labkit first. The other way works, too: an older one takes the cluster back.
    """
    from labkit.provision import upgrade as upgrading

    cluster = clusters.load(name)
    with reporting("`labkit upgrade` goes on from here", cluster) as report:
        done = upgrading.upgrade(cluster, report)
    _tell(done)


def _tell(done: Any) -> None:
    if not done.actions:
        out.print(f"nothing to do: everything is of labkit {__version__}")
    for pod in done.disturbed:
        out.print(f"was restarted meanwhile: {pod}", style="red", highlight=False)
    if done.disturbed:
        raise typer.Exit(1)
    out.print(f"labkit {__version__}; {done.pods} pods ran through", style="green", highlight=False)
