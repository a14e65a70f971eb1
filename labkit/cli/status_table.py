"""`labkit status` as a table: a row per service, the machine's own facts beside its first."""

from rich.table import Table
from rich.text import Text

from labkit.provision.facts import Facts, UnitFact
from labkit.provision.status import ClusterStatus, MachineStatus, is_restless

MEBI = 1 << 20


def table(status: ClusterStatus) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("MACHINE", "ADDRESS", "NODE", "MEMORY", "SERVICE", "STATE"):
        shown.add_column(title, no_wrap=title != "STATE")
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
    well = fact.active == "active" and not is_restless(fact)
    since = f" {duration(fact.seconds)}" if fact.active == "active" else ""
    again = f", restarted {fact.restarts} times" if fact.restarts else ""
    return Text(f"{fact.active}{since}{again}", style="green" if well else "red")


def duration(seconds: int) -> str:
    """'42s', '5m', '3h', '2d', as kubectl does."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def memory(facts: Facts) -> str:
    """'64/1024 MiB': in use and allowed."""
    of = f"/{facts.memory_allowed // MEBI}" if 0 < facts.memory_allowed < 1 << 50 else ""
    return f"{facts.memory_used // MEBI}{of} MiB"
