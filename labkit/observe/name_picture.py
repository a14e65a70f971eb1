"""A Lookup on a terminal.

redis-master, asked for by pod default/client on agent1
  search      default.svc.cluster.local svc.cluster.local cluster.local
  nameserver  10.0.0.10:53 = service kube-system/kube-dns, behind it 10.245.1.11
  0 dots, fewer than ndots:5: first with each word of the search list, then as it is

1 redis-master.default.svc.cluster.local. A?
  <- NOERROR  0.8 ms
     redis-master.default.svc.cluster.local. 30 A 10.0.0.11
"""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from labkit.observe.lookup import Lookup, Step

NOTE, NAME, RECORD, GOOD, BAD, ON = "dim", "bold", "cyan", "bold green", "bold red", "yellow"
_ASCII = str.maketrans("→←✗✓·", "><xv-")


def draw(lookup: Lookup, console: Console) -> None:
    """Print it; colours if the console has any."""
    for line in lines(lookup):
        if console.options.ascii_only:
            line = Text(line.plain.translate(_ASCII), spans=line.spans)
        console.print(line, soft_wrap=True, highlight=False)


def lines(lookup: Lookup) -> Iterator[Text]:
    yield Text.assemble((lookup.name, NAME), f" {lookup.type}, asked for by {lookup.start} on {lookup.machine}")
    if lookup.nameservers:
        yield Text.assemble("  search      ", " ".join(lookup.searches) or "nothing")
        for server in lookup.nameservers:
            yield Text.assemble("  nameserver  ", server)
        if lookup.options:
            yield Text.assemble("  options     ", " ".join(lookup.options))
        yield Text(f"  {lookup.order}", style=NOTE)
    yield Text()
    for number, step in enumerate(lookup.steps, 1):
        yield from _step(step, number)
    for name in lookup.left:
        yield Text(f"· {name} was not asked for any more", style=NOTE)
    yield Text()
    yield Text.assemble(("✓ ", GOOD) if lookup.well else ("✗ ", BAD), (lookup.result, NAME))
    for fault in lookup.faults:
        yield Text.assemble(("✗ ", BAD), (fault.text, "red"))
        yield Text(f"  {fault.mend}", style=NOTE)


def _step(step: Step, number: int) -> Iterator[Text]:
    yield Text.assemble(f"{number} ", (step.name, NAME), f" {step.type} → ", (step.server.partition(" ")[0], RECORD))
    colour = GOOD if step.found else ON if step.outcome in ("NXDOMAIN", "NOERROR") else BAD
    yield Text.assemble("  ← ", (step.outcome, colour), f" {step.milliseconds:g} ms  ", (step.note, NOTE))
    for record in step.records:
        yield Text.assemble("    ", (f"{record.name} {record.ttl} {record.type} {record.data}", RECORD))
