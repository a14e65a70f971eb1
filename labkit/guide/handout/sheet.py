"""What paper says in other words than the engine: places are spelled, and checks that follow each other are one box."""

from collections.abc import Iterator, Sequence

from labkit.guide.format import Check, Part
from labkit.guide.places import Place
from labkit.guide.words import Words


def where(place: Place, words: Words) -> str:
    """`node-of:pod/client` -> on the machine of the pod client; a machine is its name."""
    return place.machine if place.kind == "machine" else words(f"at-{place.kind}", pod=place.pod)


def ticked_once(parts: Sequence[Part]) -> Iterator[Part]:
    """Without the checks that come right behind another: a reader ticks one box, however many commands look."""
    before: Part | None = None
    for part in parts:
        if not (isinstance(part, Check) and isinstance(before, Check)):
            yield part
        before = part
