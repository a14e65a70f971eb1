"""A Journey on paper: an SVG of its own, black on white, for a handout. No script, no font or picture from elsewhere.

title
╔ agent1 ════════════════════╗      a lane for each machine
║ [card: pod default/client] ║      a card for each station, its rules with their makers
║    │ 10.244.2.7 → 10.0..   ║      an arrow to the next, with the packet as it goes on
║ [card: nat PREROUTING]     ║
╚════════════════════════════╝
the way back, what is wrong
"""

import textwrap
from itertools import groupby
from xml.sax.saxutils import escape

from labkit.observe.journey import Journey, Station
from labkit.probe.report import Packet

WIDTH, MARGIN, LANE_PAD, CARD_PAD = 1000, 20, 18, 14
LINE, ARROW, COLUMNS = 18, 44, 106
_LANES = (("#e8f4fb", "#1b6ca8"), ("#f6ecf8", "#8a3b96"), ("#eaf6ec", "#2c7a3f"), ("#fdf3e3", "#a86a14"))
_STYLES = {
    "title": 'font-weight="600" font-size="15" fill="#111"',
    "note": 'font-size="12.5" fill="#666"',
    "rule": 'class="m" fill="#7a4a00"',
    "maker": 'class="m" fill="#1d7a34" font-weight="600"',
    "address": 'class="m" fill="#111" font-weight="600"',
    "change": 'font-size="12.5" fill="#0b61a4" font-weight="600"',
    "fault": 'font-size="14" fill="#b00020" font-weight="600"',
}
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"
 font-family="Noto Sans, DejaVu Sans, Helvetica, Arial, sans-serif" font-size="13">
<title>{title}</title>
<style>.m {{ font-family: "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; font-size: 12.5px }}
</style>
<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
<path d="M0 0L10 5L0 10z" fill="#333"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>
"""


class _Paper:
    """Shapes, and how far down they reach. Lanes lie behind everything else."""

    def __init__(self) -> None:
        self.behind: list[str] = []
        self.front: list[str] = []
        self.y = 0.0

    def text(self, x: float, style: str, words: str) -> None:
        self.front.append(
            f'<text x="{x:g}" y="{self.y:g}" {_STYLES[style]} xml:space="preserve">{escape(words)}</text>'
        )

    def box(self, behind: bool, x: float, y: float, width: float, fill: str, stroke: str) -> None:
        """From `y` down to where we are."""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{self.y - y:g}"'
        shape = f'<rect {place} rx="8" fill="{fill}" stroke="{stroke}"/>'
        (self.behind if behind else self.front).append(shape)

    def arrow(self, x1: float, y1: float, x2: float, y2: float, dashes: str = "") -> None:
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        ends = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
        self.front.append(f'<line {ends} stroke="#333" stroke-width="1.6"{dashed} marker-end="url(#a)"/>')


def draw(journey: Journey) -> str:
    """The SVG document."""
    paper = _Paper()
    paper.y = 38
    title = f"{journey.start} → {journey.to}"
    paper.front.append(f'<text x="{MARGIN}" y="38" font-size="20" font-weight="700">{escape(title)}</text>')
    paper.y += 22
    paper.text(MARGIN, "note", f"{journey.mode} mode, {journey.protocol}: {journey.result}")
    paper.y += 18
    lanes = list(dict.fromkeys(station.machine for station in journey.stations))
    for machine, group in groupby(journey.stations, lambda station: station.machine):
        stations = list(group)
        _lane(paper, machine, stations, _LANES[lanes.index(machine) % len(_LANES)])
        if stations[-1] is not journey.stations[-1] and stations[-1].leaves:
            _arrow(paper, stations[-1])
        else:
            paper.y += 14
    _back(paper, journey)
    _faults(paper, journey)
    paper.y += 10
    head = HEAD.format(width=WIDTH, height=round(paper.y), title=escape(title))
    return head + "\n".join([*paper.behind, *paper.front]) + "\n</svg>\n"


def _lane(paper: _Paper, machine: str, stations: list[Station], colours: tuple[str, str]) -> None:
    top = paper.y
    paper.y += 26
    name = f'font-size="14" font-weight="700" fill="{colours[1]}"'
    paper.front.append(f'<text x="{MARGIN + LANE_PAD}" y="{paper.y - 4:g}" {name}>{escape(machine)}</text>')
    paper.y += 6
    for number, station in enumerate(stations):
        _card(paper, station, colours[1])
        if number < len(stations) - 1:
            _arrow(paper, station)
    paper.y += LANE_PAD
    paper.box(True, MARGIN, top, WIDTH - 2 * MARGIN, colours[0], colours[1])


def _card(paper: _Paper, station: Station, colour: str) -> None:
    left = MARGIN + LANE_PAD
    top, behind = paper.y, len(paper.front)
    paper.y += CARD_PAD + 8
    paper.text(left + CARD_PAD, "title", station.title)
    for style, words in _content(station):
        paper.y += LINE
        paper.text(left + CARD_PAD, style, words)
    paper.y += CARD_PAD - 2
    place = f'x="{left}" y="{top:g}" height="{paper.y - top:g}"'
    card = f'<rect {place} width="{WIDTH - 2 * left}" rx="6" fill="#fff" stroke="#bbb"/>'
    paper.front.insert(behind, f'{card}<rect {place} width="5" rx="2" fill="{colour}"/>')


def _content(station: Station) -> list[tuple[str, str]]:
    found = [("note", note) for note in station.notes]
    for rule in station.rules:
        style = "rule" if rule.verdict else "note"
        pieces = textwrap.wrap(
            rule.text.replace(" -j ", " -j\0"),
            COLUMNS,
            subsequent_indent="     ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        found += [(style, piece.replace("\0", " ")) for piece in pieces]
        if rule.source:
            function = f"{rule.function}()  " if rule.function else ""
            file = rule.source.rpartition(":")[0]  # paper outlives line numbers
            found.append(("maker", f"  └ {function}{file}"))
    return found


def _arrow(paper: _Paper, station: Station) -> None:
    """Down to the next card, with the packet beside it."""
    x = MARGIN + LANE_PAD + 26
    paper.arrow(x, paper.y, x, paper.y + ARROW)
    top = paper.y
    if station.changed:
        paper.y = top + 17
        paper.text(x + 16, "change", station.changed)
    if station.leaves:
        paper.y = top + (35 if station.changed else 26)
        paper.text(x + 16, "address", _packet(station.leaves))
    paper.y = top + ARROW


def _back(paper: _Paper, journey: Journey) -> None:
    if not journey.back:
        return
    paper.y += 20
    paper.text(MARGIN, "title", "The way back")
    for back in journey.back:
        paper.y += 21
        middle = paper.y - 4
        paper.arrow(MARGIN + 30, middle, MARGIN + 6, middle, "4 3")
        paper.text(MARGIN + 40, "address", _packet(back.packet))
        paper.text(MARGIN + 430, "note", back.note)
    paper.y += 12


def _faults(paper: _Paper, journey: Journey) -> None:
    for fault in journey.faults:
        for number, piece in enumerate(textwrap.wrap(fault.text, 112)):
            paper.y += 24 if number == 0 else LINE
            paper.text(MARGIN + 4, "fault", ("✗ " if number == 0 else "   ") + piece)
        paper.y += LINE
        paper.text(MARGIN + 22, "note", fault.mend)
    if journey.faults:
        paper.y += 10


def _packet(packet: Packet) -> str:
    return f"{packet.source} → {packet.destination}"
