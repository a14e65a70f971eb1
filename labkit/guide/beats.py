"""A page as a presentation: screens, and in each the beats that the speaker brings about one by one. Pure.

    screen (intro, or a step)
     +- beat: text, and the code that it explains
     +- beat: a command, typed and run                      ... a key before each
     +- beat: a question to the audience, then (a beat of its own) the answer
     +- beat: text about what was seen

A check is a wait: the cluster takes its time, and what follows needs it to be done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labkit.guide.format import Check, Code, Lab, Note, Part, Question, Run, Text


@dataclass(frozen=True)
class Reveal:
    """The answer to a question that was asked before."""

    question: Question


@dataclass(frozen=True, eq=False)
class Beat:
    """`waits`: the speaker's key comes before it. Each is itself, however alike two of them look."""

    shown: Part | Reveal
    waits: bool


@dataclass(frozen=True)
class Scene:
    """One screen. `number` is 0 for what stands before the first step."""

    number: int
    title: str
    notes: tuple[Note, ...]
    beats: tuple[Beat, ...]


def scenes(page: Lab) -> list[Scene]:
    first = Scene(0, page.title, page.notes, tuple(_beats(page.intro)))
    steps = [Scene(n, step.title, step.notes, tuple(_beats(step.parts))) for n, step in enumerate(page.steps, 1)]
    return [first, *steps]


def _beats(parts: Sequence[Part]) -> Iterator[Beat]:
    before: Part | Reveal | None = None
    for shown in _revealed(parts):
        together = isinstance(before, Text | Check) and isinstance(shown, Text | Code | Question)
        yield Beat(shown, waits=not (before is None or together or isinstance(shown, Check)))
        before = shown


def _revealed(parts: Sequence[Part]) -> Iterator[Part | Reveal]:
    """A quiz is answered at once, a prediction by the command behind it."""
    predicted: list[Question] = []
    for part in parts:
        if isinstance(part, Run) and part.hidden:
            continue
        yield part
        if isinstance(part, Question) and part.kind == "quiz":
            yield Reveal(part)
        elif isinstance(part, Question):
            predicted.append(part)
        elif isinstance(part, Run):
            yield from map(Reveal, predicted)
            predicted = []


def reading_seconds(text: str) -> float:
    """How long an audience reads: four words a second, five Chinese characters a second; at least a second."""
    chinese = sum("\u4e00" <= char <= "\u9fff" for char in text)
    return max(1.0, len(text.split()) / 4 + chinese / 5)
