"""Where the learner works: the seam between the guide and a terminal.

Plain     one terminal: commands run over SSH and their output is shown between the text (any connection, any terminal,
          a screen reader)
theatre   two panes: the guide on one side, a real shell on the right machine on the other (theatre.py)
"""

from collections.abc import Mapping
from typing import Protocol

from labkit.guide.places import Spot
from labkit.guide.stage import Outcome, Stage
from labkit.guide.views import VIEW_SECONDS, view_of


class Desk(Protocol):
    far: bool  # the learner's own shell is somewhere else, and has to be told how to get there

    def at(self, spot: Spot) -> None:
        """The next thing to do is there."""

    def run(self, spot: Spot, command: str, timeout: float, answers: Mapping[str, str]) -> Outcome:
        """Run a command of the page; its output when the learner does not see it anyway."""

    def shell(self, spot: Spot) -> None:
        """Let the learner work there by hand."""

    def view(self, name: str) -> str:
        """Show what the lab is about (views.py); the text, when there is no place of its own for it."""


class Plain:
    far = True

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def at(self, spot: Spot) -> None:
        pass

    def run(self, spot: Spot, command: str, timeout: float, answers: Mapping[str, str]) -> Outcome:
        return self._stage.run(spot, command, timeout, answers)

    def shell(self, spot: Spot) -> None:
        self._stage.shell(spot)

    def view(self, name: str) -> str:
        view = view_of(name)
        return self._stage.run(self._stage.find(view.place), view.once, VIEW_SECONDS, {}).text
