"""The commands that make machines and look at them. Each imports what it needs when it runs: --help is quick."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from labkit import cluster as clusters
from labkit.cli import bundle, inventory
from labkit.cli.terminal import (
    DEFAULT_CLUSTER,
    Name,
    err,
    load_or_init,
    machine_names,
    machine_of,
    out,
    reporting,
    service_names,
    use_mirrors,
)
from labkit.cluster import Cluster, ClusterError
from labkit.cluster_rules import PROVIDERS

app = typer.Typer()
PANEL = "The machines"


@app.command(rich_help_panel=PANEL)
def init(
    name: Name = DEFAULT_CLUSTER,
    agents: Annotated[
        int | None, typer.Option(min=0, help="How many agents. Those that exist keep name and address.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help=f"{', '.join(PROVIDERS)}.")] = None,
    timing: Annotated[
        str | None, typer.Option(help="historic (a lost node costs 5 minutes) or classroom (under one).")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="glusterfs: a file system over the first three machines, for volumes.")
    ] = None,
    proxy_mode: Annotated[
        str | None,
        typer.Option(help="kube-proxy's way: userspace (as in 0.18), iptables or nftables; `labkit up` switches."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="historic (kubelets answer everybody on 10255, as in 2015) or classroom (closed)."),
    ] = None,
    machines: Annotated[str | None, typer.Option(help="The machines' range (CIDR); only for a new cluster.")] = None,
) -> None:
    """Describe a cluster, or change how many machines it has. Nothing is booted: `labkit up` does that."""
    cluster = clusters.init(
        name,
        agents,
        provider=provider,
        timing=timing,
        profile=profile,
        storage=storage,
        proxy_mode=proxy_mode,
        machines=machines,
    )
    for machine in cluster.machines:
        out.print(f"{machine.name:<10} {'+'.join(machine.roles):<14} {machine.address}", highlight=False)
    out.print(f"written to {cluster.state / 'cluster.json'}; next: labkit up", highlight=False, soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def up(
    name: Name = DEFAULT_CLUSTER,
    provider: Annotated[
        str | None,
        typer.Option(help=f"What makes the machines: {', '.join(PROVIDERS)} (kept; until then docker)."),
    ] = None,
    bundle_: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="Take all from there: no network (docs/offline.md).")
    ] = None,
    trust: bundle.Trust = "",
    inventory_: Annotated[Path | None, inventory.OPTION] = None,
) -> None:
    """Boot the machines and make them a cluster. Run it again when in doubt: it does what is missing, or nothing.

    With the provider ssh the machines are hosts that are there already, which hosts.json lists: a name, and `address`,
    `roles` (["master"], ["agent"] or both), `user`, `port`, `identityFile`, `hostKey` (docs/ssh.md). They are looked at
    before anything is changed, and `labkit destroy` leaves them as they were found.
    """
    cluster = inventory.load(name, provider, inventory_)
    if bundle_:
        bundle.unpack(bundle_, trust, cluster)
    with reporting("everything done so far is kept; `labkit up` goes on from here", cluster) as report:
        from labkit.provision.up import up as bring_up

        outcome = bring_up(cluster, report)
    if outcome.nothing_to_do:
        out.print("nothing to do: every machine is what it should be")
    for repaired in outcome.repaired:
        out.print(f"put right: {repaired}")
    out.print(f"nodes Ready: {', '.join(outcome.nodes)}", style="green", highlight=False)
    flag = "" if name == DEFAULT_CLUSTER else f" --cluster {name}"
    for command, purpose in (
        ("labkit lab redis-master", "the first lab: deploy redis-master and find it three ways"),
        ("labkit status", "machines, services and nodes at a glance"),
        ("labkit ssh master", "a shell where kubectl works"),
        ("labkit kubeconfig > kubeconfig", "for the kubectl of this host"),
    ):
        verb, _, rest = command.partition(" ")
        out.print(
            f"  {verb} {rest}{flag if '>' not in rest else ''}".ljust(44) + purpose, highlight=False, soft_wrap=True
        )


@app.command(rich_help_panel=PANEL)
def down(name: Name = DEFAULT_CLUSTER) -> None:
    """Halt the machines. `labkit up` brings them back with everything that ran on them.

    Hosts that were there already (ssh) stay on: what is ours on them stops.
    """
    from labkit.provision.provider import machines

    cluster = clusters.load(name)
    with reporting("run `labkit down` again", cluster) as report:
        report.step("host", "halt the machines")
        machines(cluster).halt()
        report.done("host")


@app.command(rich_help_panel=PANEL)
def destroy(
    name: Name = DEFAULT_CLUSTER,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove the machines and all that belongs to them: disks, network, keys, certificates, progress in labs.

    Hosts that were there already (ssh) are brought back to how they were found.
    """
    from labkit.provision.provider import machines

    cluster = clusters.load(name)
    each = ", ".join(machine.name for machine in cluster.machines)
    if not yes and not typer.confirm(f"Remove cluster {name} ({each}) and {cluster.state}?"):
        out.print("nothing was removed")
        raise typer.Exit(1)
    with reporting("run `labkit destroy` again", cluster) as report:
        report.step("host", "remove the machines")
        machines(cluster).destroy(lambda line: out.print(line, highlight=False, markup=False))
        report.done("host")
    shutil.rmtree(cluster.state)


@app.command(rich_help_panel=PANEL)
def status(name: Name = DEFAULT_CLUSTER) -> None:
    """Machines, services and nodes at a glance; exit code 1 when something is not well."""
    from labkit.cli import faults
    from labkit.cli.status_table import table
    from labkit.provision import status as asking

    cluster = clusters.load(name)
    found = asking.ask(cluster)
    out.print(table(found))
    faults.warn(cluster)
    troubles = found.troubles()
    for line in troubles:
        out.print(f"not well: {line}", style="red", highlight=False, soft_wrap=True)
    if troubles:
        raise typer.Exit(1)
    out.print("all is well", style="green")


@app.command(rich_help_panel=PANEL, context_settings={"allow_interspersed_args": False})
def ssh(
    machine: Annotated[str, typer.Argument(help="master, agent1, ...", autocompletion=machine_names)],
    command: Annotated[list[str] | None, typer.Argument(help="Run this and come back with its exit code.")] = None,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """A root shell on a machine, or one command there. Options of labkit come before the machine's name."""
    from labkit.provision.ssh import Ssh

    cluster = clusters.load(name)
    with Ssh(cluster, machine_of(cluster, machine)) as connection:
        raise typer.Exit(connection.shell(" ".join(command or [])))


@app.command(rich_help_panel=PANEL)
def logs(
    unit: Annotated[
        str,
        typer.Argument(metavar="NAME", help="kube-apiserver, kubelet, etcd, docker, ...", autocompletion=service_names),
    ],
    machine: Annotated[
        str | None, typer.Option("--machine", "-m", help="Only from this machine.", autocompletion=machine_names)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 20,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """What a service wrote: one JSON line per decision."""
    from labkit.provision import logs as showing

    cluster = clusters.load(name)
    try:
        found = showing.where(cluster, unit)
    except KeyError as exc:
        raise typer.BadParameter(str(exc.args[0]), param_hint="NAME") from exc
    machines = [machine_of(cluster, machine)] if machine else found
    prefix = len(machines) > 1

    def tell(who: str, line: str) -> None:
        sys.stdout.write(f"{who + ' ' if prefix else ''}{line}\n")
        sys.stdout.flush()

    try:
        showing.show(cluster, machines, unit, lines, follow, tell)
    except KeyboardInterrupt:
        if not follow:
            raise


@app.command(rich_help_panel=PANEL)
def push(
    components: Annotated[
        list[str],
        typer.Argument(
            metavar="COMPONENT...", help="kube-proxy, kubelet, ... or a Python file.", autocompletion=service_names
        ),
    ],
    remove: Annotated[bool, typer.Option("--remove", help="End a component of your own and forget it.")] = False,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Put the code of a component as it is now on the machines that run it, and restart it there.

    A Python file with `async def run(client)` becomes a service of the master: examples/my_scheduler.py is a whole
    scheduler. `labkit logs my-scheduler` shows what it prints.
    """
    from labkit.provision import own
    from labkit.provision import push as pushing

    cluster = clusters.load(name)
    known = own.names(cluster) if remove else pushing.components(cluster)
    files = [Path(each) for each in components if each.endswith(".py") and not remove]
    names = [each for each in components if Path(each) not in files]
    if unknown := [each for each in names if each not in known]:
        expected = ", ".join(known) or "nothing: there are none of your own"
        raise typer.BadParameter(f"{', '.join(unknown)}: expected some of {expected}", param_hint="COMPONENT")
    with reporting("run it again", cluster) as report:
        if remove:
            for each in names:
                pushing.remove(cluster, each)
            touched = [cluster.master.name]
        else:
            names += [own.keep(cluster, path) for path in files]
            touched = pushing.push(cluster, names, report)
    done = "removed from" if remove else "restarted on"
    out.print(f"{', '.join(names)} {done} {', '.join(touched)}", style="green", highlight=False)


@app.command(rich_help_panel=PANEL)
def kubeconfig(
    name: Name = DEFAULT_CLUSTER,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it there (0600) instead of printing it.")
    ] = None,
) -> None:
    """The kubeconfig with which kubectl on this host reaches the cluster, as admin."""
    from labkit.provision import admin

    cluster = clusters.load(name)
    _must_be_up(cluster)
    text = admin.kubeconfig(cluster)
    if output is None:
        sys.stdout.write(text)
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    err.print(f"kubectl --kubeconfig {output} get nodes", highlight=False)


@app.command(rich_help_panel=PANEL)
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without harm, then look again.")] = False,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Look at this host and at each machine: what is wrong, and the exact mend. Exit code 1 when something is wrong."""
    from labkit.provision import doctor as doctors
    from labkit.provision.doctor import host, remedies

    cluster = load_or_init(name)
    found = doctors.examine(cluster)
    if fix and (fixable := [finding for finding in doctors.wrong(found) if finding.fix]):
        for line in remedies.apply(cluster, fixable, lambda line: err.print(f"  {line}", style="dim", highlight=False)):
            out.print(f"mended: {line}", style="green", highlight=False, soft_wrap=True)
        found = doctors.examine(cluster)
    for finding in sorted(found, key=lambda one: one.is_wrong):
        tell(finding)
    bad = doctors.wrong(found)
    out.print(host.summary(cluster, found), style="red" if bad else "green", highlight=False)
    if any(finding.fix for finding in bad) and not fix:
        out.print("`labkit doctor --fix` mends what can be mended without harm", highlight=False)
    if bad:
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def image(name: Name = DEFAULT_CLUSTER) -> None:
    """Build the machines' image now, if it is missing (`labkit up` does so by itself)."""
    from labkit.provision.host import need_docker
    from labkit.provision.image import ensure_image

    use_mirrors(name)
    with reporting("what was fetched is kept") as report:
        report.step("host", "machine image")
        need_docker(lambda line: report.detail("host", line))
        tag = ensure_image(lambda line: report.detail("host", line))
        report.done("host")
    out.print(tag, highlight=False)


def tell(finding: Any) -> None:
    """One finding of the doctor's, and below it its mend."""
    colour = {"well": "green", "note": "yellow", "wrong": "red"}[finding.level]
    line = Text.assemble((f"{finding.where:<10}", "bold"), (f"{finding.level:<6}", colour), finding.what)
    out.print(line, soft_wrap=True, highlight=False)
    if finding.mend:
        out.print(Text(f"{'':<16}mend: {finding.mend}", style="dim"), soft_wrap=True, highlight=False)


box_app = typer.Typer(no_args_is_help=True, help="What virtual machines are made from (libvirt).")


@box_app.command("build")
def build_box(cluster: Name = DEFAULT_CLUSTER) -> None:
    """Build our own box now, from Debian packages: for a host that does not reach the public one.

    It takes 2 to 5 minutes and needs root (or sudo). From then on `labkit up --provider libvirt` makes machines from
    it: they have all they need inside, so nothing is fetched while they boot. Run it again after an interruption:
    packages that were fetched are kept.
    """
    from labkit.provision import box

    use_mirrors(cluster)
    with reporting("packages that were fetched are kept") as report:
        report.step("host", "machine box")
        name = box.build(lambda line: report.detail("host", line))
        report.done("host")
    out.print(name, highlight=False)


app.add_typer(box_app, name="box", rich_help_panel=PANEL)


def _must_be_up(cluster: Cluster) -> None:
    if not (cluster.state / "pki" / "admin.crt").exists():
        raise ClusterError(cluster.state / "pki", [f"has no certificates yet: labkit up --cluster {cluster.name}"])
