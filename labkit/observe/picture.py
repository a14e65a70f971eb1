"""A Journey on a terminal: a frame for each machine, in it the stations, one below the other.

┌ agent1 ───────────────────────────────────────────
│ ● pod default/client
│ │   10.244.2.7:41233 → 10.0.0.11:6379
│ ▼ nat PREROUTING
│ │ 1 -A KUBE-PORTALS-CONTAINER -d 10.0.0.11/32 ... -j REDIRECT --to-ports 34273
│ │   └ container_portal  labkit/components/kube_proxy/iptables.py:83
"""

import textwrap
from collections.abc import Iterator
from itertools import groupby

from rich.console import Console
from rich.text import Text

from labkit.observe.journey import Journey, Rule, Station
from labkit.probe.report import Packet

LANES = ("cyan", "magenta", "blue", "green")
ADDRESS, RULE, MAKER, NOTE, CHANGE = "bold", "yellow", "green", "dim", "bold cyan"
_ASCII = str.maketrans("┌│└─●▼◆→←✗✓", "+|`-ov*><xv")


def draw(journey: Journey, console: Console) -> None:
    """Print it, as wide as the console; colours if it has any."""
    for line in lines(journey, min(console.width, 140)):
        if console.options.ascii_only:
            line = Text(line.plain.translate(_ASCII), spans=line.spans)
        console.print(line, soft_wrap=True, highlight=False)


def lines(journey: Journey, width: int) -> Iterator[Text]:
    """The picture, line by line, none wider than `width` if its words allow."""
    yield Text.assemble(
        (journey.start, "bold"),
        " → ",
        (journey.to, "bold"),
        f"   {journey.protocol}, ",
        (f"{journey.mode} mode", "bold"),
    )
    yield Text()
    lanes = list(dict.fromkeys(station.machine for station in journey.stations))
    last = journey.stations[-1] if journey.stations else None
    for machine, stations in groupby(journey.stations, lambda station: station.machine):
        colour = LANES[lanes.index(machine) % len(LANES)]
        yield Text(f"┌ {machine} ".ljust(width, "─"), style=colour)
        for station in stations:
            for line in _station(station, width - 2, first=station is journey.stations[0], last=station is last):
                yield Text.assemble(("│ ", colour), line)
        yield Text("└".ljust(width, "─"), style=colour)
    if journey.back:
        yield Text("the way back", style="bold")
        for back in journey.back:
            yield Text.assemble("  ← ", (_arrow(back.packet), ADDRESS), "  ", (back.note, NOTE))
    yield Text()
    yield Text.assemble(("✓ " if journey.well else "✗ ", "bold green" if journey.well else "bold red"), journey.result)
    for fault in journey.faults:
        yield from _wrapped(Text.assemble(("✗ ", "bold red"), (fault.text, "red")), width, "  ")
        yield from _wrapped(Text.assemble("  ", (fault.mend, NOTE)), width, "  ")


def _station(station: Station, width: int, first: bool, last: bool) -> Iterator[Text]:
    mark = "●" if first else "◆" if last and station.leaves is None and not station.rules else "▼"
    yield Text.assemble((mark, "bold"), " ", (station.title, "bold"))
    bar = "  " if last and station.leaves is None else "│ "
    body: list[Text] = [Text(note, style=NOTE) for note in station.notes]
    for number, rule in enumerate(station.rules, 1):
        body += _rule(rule, number, width - 4)
    if station.changed:
        body.append(Text(station.changed, style=CHANGE))
    if station.leaves:
        body.append(Text(_arrow(station.leaves), style=ADDRESS))
    for line in body:
        for piece in _wrapped(line, width - 4, ""):
            yield Text.assemble(bar, "  ", piece)


def _rule(rule: Rule, number: int, width: int) -> list[Text]:
    shown = [
        *_wrapped(
            Text.assemble((f"{number} " if rule.verdict else "", NOTE), (rule.text, RULE if rule.verdict else NOTE)),
            width,
            "    ",
        )
    ]
    if rule.source:
        function = f"{rule.function}  " if rule.function else ""
        shown.append(Text.assemble(("  └ ", NOTE), (function, f"bold {MAKER}"), (rule.source, MAKER)))
    return shown


def _wrapped(text: Text, width: int, indent: str) -> list[Text]:
    """At blanks, but not inside of `-j TARGET`; a continued line is indented. Each line keeps its part's styles."""
    whole = text.plain.replace(" -j ", " -j\0")
    pieces = textwrap.wrap(whole, max(width, 40), subsequent_indent=indent, break_long_words=False,
                           break_on_hyphens=False, drop_whitespace=True)  # fmt: skip
    if len(pieces) <= 1:
        return [text]
    found, start = [], 0
    for number, piece in enumerate(each.replace("\0", " ") for each in pieces):
        body = piece[len(indent) :] if number else piece
        start = text.plain.index(body, start)
        found.append(Text.assemble(indent if number else "", text[start : start + len(body)]))
        start += len(body)
    return found


def _arrow(packet: Packet) -> str:
    return f"{packet.source} → {packet.destination}"
