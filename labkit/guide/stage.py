"""Where the commands of a page run: the seam between the guide and a cluster (machines.py is the real one)."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from labkit.guide.format import Lab
from labkit.guide.places import Place, Spot


@dataclass(frozen=True)
class Outcome:
    rc: int
    text: str  # what came to stdout and stderr, as the learner sees it


class Stage(Protocol):
    """What a guide needs of a cluster. Raises NowhereError for a place that is not there (yet).

    patience: what the bounds of checks are multiplied by; more than 1 where machines are emulated."""

    patience: float

    def agents(self) -> list[str]: ...
    def find(self, place: Place) -> Spot: ...
    def run(self, spot: Spot, command: str, timeout: float, answers: Mapping[str, str]) -> Outcome: ...
    def unit_states(self, unit: str) -> dict[str, str]: ...
    def shell(self, spot: Spot) -> None: ...
    def bring(self, lab: Lab) -> None: ...


def with_answers(command: str, answers: Mapping[str, str]) -> str:
    """The command behind the learner's findings, of which it sees only those that it names."""
    used = {name: text for name, text in answers.items() if f"${name}" in command or f"${{{name}" in command}
    return "".join(f"{name}={shlex.quote(text)}\n" for name, text in used.items()) + command
