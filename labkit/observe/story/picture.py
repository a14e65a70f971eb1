"""A Story on a terminal: who did it in a frame, each hop with its milliseconds, the function that did it below.

      ms     +ms
┌ master · kube-controller-manager
│   6.32   +0.17  a worker takes the key out of the queue
│                 └ WorkQueue.get  labkit/client/queue.py:69
│   6.47   +0.15  rc web has 0 pods and wants 2: create 2
│                 └ plan  labkit/components/kube_controller_manager/replication.py:61
"""

import datetime
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.style import Style
from rich.text import Text

from labkit.cluster import REPOSITORY
from labkit.observe.story import words
from labkit.observe.story.told import Chapter, Child, Said, Story, Told

LANES = {
    "kube-apiserver": "cyan", "etcd": "blue", "kube-controller-manager": "magenta", "kube-scheduler": "yellow",
    "kubelet": "green", "kube-proxy": "red", "kube-dns": "bright_blue",
}  # fmt: skip
NUMBERS = 18
_ASCII = str.maketrans("┌│└·→✓✗…≈", "+|`-><x.~")


def draw(story: Story, console: Console, *, brief: bool = False) -> None:
    """Print it, as wide as the console; colours and links to the source if it has them."""
    show(lines(story, min(console.width, 140), brief=brief), console)


def show(pieces: Iterator[Text], console: Console) -> None:
    for line in pieces:
        if console.options.ascii_only:
            line = Text(line.plain.translate(_ASCII), spans=line.spans)
        console.print(line, soft_wrap=True, highlight=False)


def lines(story: Story, width: int, *, brief: bool = False) -> Iterator[Text]:
    """The story, line by line, none wider than `width` if its words allow."""
    yield from heading(story, width)
    for number, chapter in enumerate(story.chapters):
        yield Text()
        yield chapter_title(chapter, number)
        yield from hops([hop for hop in chapter.hops if not brief or hop.is_in_brief], width)
        yield from _children(chapter.children, width)
        for text in chapter.repeated:
            yield from _wrapped(Text(text, style="dim"), width, "  ")
    for text in story.repeated:
        yield from _wrapped(Text(text, style="dim"), width, "  ")
    yield from _events(story.events, width)


def heading(story: Story, width: int) -> Iterator[Text]:
    machines = len({hop.machine for chapter in story.chapters for hop in chapter.hops})
    told = f"{_count(story.count, 'hop')} on {_count(machines, 'machine')}" if story.found else "nothing is known"
    there = "" if story.exists else ", it exists no longer" if story.found else ""
    yield Text.assemble((story.target, "bold"), f"   {told}{there}")
    for note in story.notes:
        yield from _wrapped(Text(f"≈ {note}", style="yellow"), width, "  ")


def chapter_title(chapter: Chapter, number: int) -> Text:
    later = f"   {span(chapter.later / 1000)} later" if number else ""
    return Text.assemble((f"{'ms':>9}{'+ms':>9}  ", "dim"), (when(chapter.began), "bold"),
                         (f" UTC{later}", "dim"))  # fmt: skip


def hops(told: Sequence[Told], width: int, before: tuple[str, str] = ("", "")) -> Iterator[Text]:
    """Neighbours of the same component in one frame; `before`: whose frame is open already."""
    for who, group in groupby(told, lambda hop: (hop.machine, hop.component)):
        colour = LANES.get(who[1], "white")
        if who != before:
            yield Text(f"┌ {who[0]} · {who[1]}", style=f"bold {colour}")
        for hop in group:
            yield from _hop(hop, width, colour)


def _hop(hop: Told, width: int, colour: str) -> Iterator[Text]:
    since = f"+{milliseconds(hop.since)}" if hop.since else ""
    numbers = f"{'≤' if hop.moved else ''}{milliseconds(hop.milliseconds)}".rjust(8) + since.rjust(9) + " "
    style = "bold" if hop.decision and not hop.wrote else ""
    body = textwrap.wrap(hop.text, max(width - NUMBERS - 2, 30)) or [""]
    for number, piece in enumerate(body):
        yield Text.assemble(("│", colour), (numbers if number == 0 else " " * NUMBERS, "dim"), " ", (piece, style))
    yield Text.assemble(("│", colour), " " * NUMBERS, (" └ ", "dim"), *_place(hop, width - NUMBERS - 4))


def _place(hop: Told, width: int) -> list[tuple[str, str | Style]]:
    """The function and where it stands, which a terminal that can opens on a click."""
    name = hop.function.rpartition(".")[2] if len(hop.function) + len(hop.file) + 8 > width else hop.function
    if not hop.file:
        return [(name, "green")]
    file = hop.file.removeprefix("labkit/components/") if len(name) + len(hop.file) + 8 > width else hop.file
    path = REPOSITORY / hop.file
    link = Style(color="green", link=path.as_uri() if path.exists() else None)
    return [(name, "bold green"), ("  ", ""), (f"{file}:{hop.line}", link)]


def _children(children: Sequence[Child], width: int) -> Iterator[Text]:
    if not children:
        return
    yield Text(f"and in the same way ({_count(len(children), 'more')}; --all tells their hops):", style="bold")
    for child in children[:MOST_CHILDREN]:
        steps = ", ".join(f"{what} {milliseconds(ms)} ms" for what, ms in child.milestones) or _count(child.hops, "hop")
        yield from _wrapped(Text.assemble("  ", (words.short(child.object), "bold"), f": {steps}"), width, "    ")
    if len(children) > MOST_CHILDREN:
        yield Text(f"  ... and {len(children) - MOST_CHILDREN} more", style="dim")


MOST_CHILDREN = 20


def _events(events: Sequence[Said], width: int) -> Iterator[Text]:
    if not events:
        return
    yield Text()
    yield Text("what was said of it (kubectl describe, whole seconds)", style="bold")
    for said in events:
        times = f" ({said.count} times)" if said.count > 1 else ""
        text = Text.assemble((f"  {said.first[11:19]} ", "dim"), f"{words.short(said.object)}: ", (said.reason, "bold"),
                             f" {said.message}{times} ", (said.source, "dim"))  # fmt: skip
        yield from _wrapped(text, width, "           ")


def when(microseconds: int) -> str:
    """`2026-11-23 00:30:00.380`, in UTC."""
    return f"{datetime.datetime.fromtimestamp(microseconds / 1e6, datetime.UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def span(seconds: float) -> str:
    """`3 min 20 s`, `2 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def milliseconds(number: float) -> str:
    return f"{number:.2f}" if number < 10_000 else f"{number:.0f}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 or word == "more" else f"{number} {word}s"


def _wrapped(text: Text, width: int, indent: str) -> list[Text]:
    """At blanks; each line keeps its part's styles."""
    pieces = textwrap.wrap(text.plain, max(width, 40), subsequent_indent=indent, initial_indent="",
                           drop_whitespace=True, replace_whitespace=False)  # fmt: skip
    if len(pieces) <= 1:
        return [text]
    found, start = [], 0
    for number, piece in enumerate(pieces):
        body = piece[len(indent) :] if number else piece
        start = text.plain.index(body, start)
        found.append(Text.assemble(indent if number else "", text[start : start + len(body)]))
        start += len(body)
    return found
