"""`labkit status` as a table: a row per service, the machine's own facts beside its first."""

from rich.table import Table
from rich.text import Text

from labkit.provision.facts import Facts, UnitFact
from labkit.provision.status import MANY_RESTARTS, ClusterStatus, MachineStatus

MEBI = 1 << 20


def table(status: ClusterStatus) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("MACHINE", "ADDRESS", "NODE", "MEMORY", "SERVICE", "STATE"):
        shown.add_column(title, no_wrap=title == "SERVICE")
    for machine in status.machines:
        _add(shown, machine)
    return shown


def _add(shown: Table, status: MachineStatus) -> None:
    head = [Text(status.machine.name, style="bold"), Text(status.machine.address), _node(status)]
    if status.facts is None:
        shown.add_row(*head, Text("-"), Text("-"), Text("down", style="red"))
        return
    cells = [*head, Text(memory(status.facts))]
    for unit, fact in status.units().items():
        shown.add_row(*cells, Text(unit), _state(fact))
        cells = [Text("")] * 4


def _node(status: MachineStatus) -> Text:
    if not status.machine.is_agent:
        return Text("-", style="dim")
    return Text(status.node or "absent", style="green" if status.node == "Ready" else "red")


def _state(fact: UnitFact) -> Text:
    well = fact.active == "active" and fact.restarts < MANY_RESTARTS
    again = f", restarted {fact.restarts} times" if fact.restarts else ""
    return Text(f"{fact.active}{again}", style="green" if well else "red")


def memory(facts: Facts) -> str:
    """'64 of 1024 MiB'."""
    of = f" of {facts.memory_allowed // MEBI}" if 0 < facts.memory_allowed < 1 << 50 else ""
    return f"{facts.memory_used // MEBI}{of} MiB"
