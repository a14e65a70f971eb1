"""A Story on paper: a sequence diagram as an SVG of its own. No script, no font or picture from elsewhere.

            kubectl   kube-      etcd    kube-scheduler
                      apiserver  master  master
      0.00     ────────>●                 |              POST by admin with kubectl: rc web
                        |                 |              └ Resources.create  labkit/.../resources.py:109
      2.60              ────────>●        |              one transaction: put the key of rc web ...

A lane for each who has a part in it, a row for each hop: the arrow comes from the hop that caused it.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from labkit.observe.story import words
from labkit.observe.story.lines import API_SERVER, asked_by
from labkit.observe.story.picture import milliseconds, span, when
from labkit.observe.story.told import Chapter, Child, Story, Told
from labkit.observe.svg import HEAD

MARGIN, NUMBERS, LANE, WORDS = 20, 130, 88, 640
ROW, LINE, COLUMNS = 12, 16, 80
HEADER_EVERY = 40  # rows: on a long sheet the names of the lanes are needed again
_ORDER = (API_SERVER, "etcd", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kube-dns")
_COLOURS = dict(zip(_ORDER, ("#1b6ca8", "#5a5a9c", "#8a3b96", "#a86a14", "#2c7a3f", "#b0303a", "#0e7f86"), strict=True))
_CLIENT = "#444"
_Lane = tuple[str, str]  # component or client, machine ("" for a client)


def draw(story: Story, *, brief: bool = False) -> str:
    """The SVG document."""
    return _Sheet(story, brief).document()


class _Sheet:
    """Shapes, and how far down they reach; lifelines lie behind everything."""

    def __init__(self, story: Story, brief: bool) -> None:
        self._story = story
        self._brief = brief
        self._hops = {hop.number: hop for chapter in story.chapters for hop in chapter.hops}
        self._lanes = lanes_of(list(self._hops.values()), [hop for hop in self._hops.values() if self._is_shown(hop)])
        self._width = MARGIN * 2 + NUMBERS + LANE * max(len(self._lanes), 1) + WORDS
        self._shapes: list[str] = []
        self._behind: list[str] = []
        self._y = 0.0

    def document(self) -> str:
        title = f"The story of {self._story.target}"
        self._y = 38
        self._text(MARGIN, title, 'font-size="20" font-weight="700"')
        self._y += 8
        for note in self._story.notes:
            for piece in textwrap.wrap(note, 150):
                self._y += LINE
                self._text(MARGIN, piece, 'fill="#8a5a00"')
        for number, chapter in enumerate(self._story.chapters):
            self._chapter(chapter, number)
        self._y += MARGIN
        head = HEAD.format(width=round(self._width), height=round(self._y), title=escape(title))
        return head + "\n".join([*self._behind, *self._shapes]) + "\n</svg>\n"

    def _chapter(self, chapter: Chapter, number: int) -> None:
        later = f", {span(chapter.later / 1000)} later" if number else ""
        self._y += 30
        self._text(MARGIN, f"{when(chapter.began)} UTC{later}", 'font-size="14" font-weight="600"')
        shown = [hop for hop in chapter.hops if self._is_shown(hop)]
        top = self._y
        for row, hop in enumerate(shown):
            if row % HEADER_EVERY == 0:
                self._header()
                top = top if row else self._y
            self._row(hop)
        for x, colour in zip(self._xs(), map(_colour, self._lanes), strict=True):
            line = f'x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{self._y:g}" stroke="{colour}"'
            self._behind.append(f'<line {line} stroke-opacity="0.45" stroke-width="1.2"/>')
        self._children(chapter.children)

    def _is_shown(self, hop: Told) -> bool:
        return not self._brief or hop.is_in_brief

    def _header(self) -> None:
        """The lanes' names, three lines at most, and their machines."""
        self._y += 60
        for x, lane in zip(self._xs(), self._lanes, strict=True):
            names = textwrap.wrap(lane[0], 13, break_on_hyphens=True)[:3]
            paint = f'text-anchor="middle" font-size="11" font-weight="700" fill="{_colour(lane)}"'
            back = f'x="{x - LANE / 2 + 2:g}" y="{self._y - 50:g}" width="{LANE - 4}" height="56"'
            self._shapes.append(f'<rect {back} rx="4" fill="#fff" stroke="{_colour(lane)}" stroke-opacity="0.4"/>')
            for number, name in enumerate(names):
                self._text(x, name, paint, self._y - 36 + 12 * number)
            self._text(x, lane[1], 'text-anchor="middle" font-size="10.5" fill="#666"', self._y + 1)
        self._y += 12

    def _row(self, hop: Told) -> None:
        body = textwrap.wrap(hop.text, COLUMNS) or [""]
        self._y += ROW + LINE
        x, middle = self._x((hop.component, hop.machine)), self._y - 4
        self._text(MARGIN + 58, milliseconds(hop.milliseconds), 'class="m" text-anchor="end"')
        if hop.since:
            self._text(MARGIN + 118, f"+{milliseconds(hop.since)}", 'class="m" text-anchor="end" fill="#888"')
        start = self._from(hop)
        if start is not None and start != x:
            end = x - 5 if start < x else x + 5
            ends = f'x1="{start:g}" y1="{middle:g}" x2="{end:g}" y2="{middle:g}"'
            self._shapes.append(f'<line {ends} stroke="#333" stroke-width="1.4" marker-end="url(#a)"/>')
        colour = _colour((hop.component, hop.machine))
        full = colour if hop.decision else "#fff"
        self._shapes.append(
            f'<circle cx="{x:g}" cy="{middle:g}" r="4.5" fill="{full}" stroke="{colour}" stroke-width="1.6"/>'
        )
        left = self._width - MARGIN - WORDS + 10
        for number, piece in enumerate(body):
            self._y += LINE if number else 0
            self._text(left, piece, 'font-size="12.5"' + (' font-weight="600"' if hop.decision else ""))
        self._y += LINE
        where = f"{hop.file}:{hop.line}" if hop.file else ""
        self._text(left, f"└ {hop.function}  {where}", 'class="m" style="font-size:11px" fill="#1d7a34"')

    def _from(self, hop: Told) -> float | None:
        """The lane that the arrow comes from: that of the nearest cause elsewhere, or of whoever sent the request."""
        mine, look, looked = (hop.component, hop.machine), [hop], set[int]()
        while look:
            each = look.pop(0)
            if not each.after and (lane := client_of(each, self._lanes)) is not None:
                return self._x(lane)
            for number in sorted(set(each.after) - looked, reverse=True):
                looked.add(number)
                cause = self._hops[number]
                lane = (cause.component, cause.machine)
                if lane != mine and lane in self._lanes:
                    return self._x(lane)
                if not self._is_shown(cause):
                    look.append(cause)
        return None

    def _children(self, children: Sequence[Child]) -> None:
        for child in children:
            steps = ", ".join(f"{what} {milliseconds(ms)} ms" for what, ms in child.milestones)
            self._y += LINE + 2
            self._text(MARGIN, f"in the same way: {words.short(child.object)}: {steps}", 'fill="#444"')

    def _x(self, lane: _Lane) -> float:
        return MARGIN + NUMBERS + LANE * (self._lanes.index(lane) + 0.5)

    def _xs(self) -> list[float]:
        return [self._x(lane) for lane in self._lanes]

    def _text(self, x: float, text: str, style: str, y: float = 0.0) -> None:
        self._shapes.append(
            f'<text x="{x:g}" y="{y or self._y:g}" {style} xml:space="preserve">{printable(text)}</text>'
        )


def lanes_of(hops: Sequence[Told], shown: Sequence[Told]) -> list[_Lane]:
    """Clients first, then the components in the order of the house, machines in that of their first hop."""
    found = list(dict.fromkeys((hop.component, hop.machine) for hop in shown))
    ranks: Mapping[str, int] = {name: rank for rank, name in enumerate(_ORDER)}
    found.sort(key=lambda lane: ranks.get(lane[0], len(ranks)))
    clients = [client for hop in hops if not hop.after and (client := client_of(hop, found)) and not client[1]]
    return [*dict.fromkeys(clients), *found]


def client_of(hop: Told, lanes: Sequence[_Lane]) -> _Lane | None:
    """Who sent the request that this hop begins: a component of the story, or a program that is none (`kubectl`)."""
    request = asked_by(hop.cause) if hop.component == API_SERVER else None
    if request is None:
        return None
    agent = request["agent"] or request["user"]
    same = [lane for lane in lanes if lane[0] == agent and lane[1]]
    node = request["user"].rpartition(":")[2]
    return next((lane for lane in same if lane[1] == node), same[0] if same else (agent, ""))


def _colour(lane: _Lane) -> str:
    return _COLOURS.get(lane[0], _CLIENT)


_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """As XML may have it."""
    return escape(_FORBIDDEN.sub("?", text))
