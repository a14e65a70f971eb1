"""`labkit logs NAME`: the journal of a service from every machine that runs it, each line under its machine's name."""

import threading
from collections.abc import Callable

from labkit.cluster import Cluster, Machine
from labkit.provision import journal
from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.ssh import Ssh
from labkit.provision.status import watched_units

EVERYWHERE = ("lab-net", "ssh")
"""Units of every machine that are worth reading, beside its services."""
FOLLOW_SECONDS = 24 * 3600
Print = Callable[[str, str], None]
"""Told (machine, line), from several threads."""


def where(cluster: Cluster, unit: str) -> list[Machine]:
    """The machines on which the unit runs. Raises KeyError with the names that there are."""
    if unit in EVERYWHERE:
        return cluster.machines
    found = [machine for machine in cluster.machines if unit in watched_units(cluster, machine)]
    if not found:
        names = dict.fromkeys(
            [*(name for each in cluster.machines for name in watched_units(cluster, each)), *EVERYWHERE]
        )
        raise KeyError(f"nothing is called {unit!r} here: expected one of {', '.join(names)}")
    return found


def show(cluster: Cluster, machines: list[Machine], unit: str, lines: int, follow: bool, tell: Print) -> None:
    """Print the last lines, machine by machine; with `follow` go on with all machines until interrupted."""
    if not follow:
        for machine in machines:
            with Ssh(cluster, machine) as ssh:
                for line in ssh.run(journal.command(unit, lines), timeout=60).out.splitlines():
                    tell(machine.name, line)
        return
    connections = [Ssh(cluster, machine) for machine in machines]
    threads = [
        threading.Thread(target=_follow, args=(ssh, unit, lines, tell), name=f"logs-{ssh.machine.name}", daemon=True)
        for ssh in connections
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for ssh in connections:
            ssh.close()


def _follow(ssh: Ssh, unit: str, lines: int, tell: Print) -> None:
    try:
        ssh.run(
            journal.command(unit, lines, follow=True),
            timeout=FOLLOW_SECONDS,
            what=f"following {unit}",
            on_line=lambda line: tell(ssh.machine.name, line),
        )
    except TimedOut:
        tell(ssh.machine.name, f"(followed for {FOLLOW_SECONDS // 3600} hours: that is all)")
    except CommandFailed as exc:
        tell(ssh.machine.name, f"({exc.what}: {exc.tail})")
