"""What a learner sees while machines are made: which step each is at, and how long each step took.

With a terminal, finished steps scroll by and a small live table stays below them. Without one the lines are all, and
a step that takes long says now and then how far it is.
"""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

HOST = "host"
"""The name under which the host's own steps are shown, beside those of the machines."""


SPEAK_SECONDS = 10
"""Without a terminal: how long a step may be silent when it has something to say."""


class Report(Protocol):
    """Told from several threads at once."""

    def step(self, machine: str, title: str) -> None:
        """The machine begins a step; the one before it is done."""

    def detail(self, machine: str, text: str) -> None:
        """How far the step is, in a few words."""

    def done(self, machine: str) -> None:
        """The machine has no more steps."""

    def failed(self, machine: str) -> None:
        """The machine's step has failed."""


@dataclass
class _Step:
    title: str
    detail: str = ""
    started: float = field(default_factory=time.monotonic)
    spoke: float = field(default_factory=time.monotonic)
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))


class ConsoleReport:
    """A report on a terminal, or on whatever standard output is."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: dict[str, _Step] = {}
        self._lock = threading.RLock()
        self._live = Live(console=console, get_renderable=self._table, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def step(self, machine: str, title: str) -> None:
        with self._lock:
            self._end(machine, "green", "done")
            self.steps[machine] = _Step(title)

    def detail(self, machine: str, text: str) -> None:
        with self._lock:
            step = self.steps.get(machine)
            if step is None:
                return
            step.detail = text
            now = time.monotonic()
            if not self.console.is_terminal and now - step.spoke >= SPEAK_SECONDS:
                step.spoke = now
                self._print(machine, "yellow", "...", step, f"{step.title}: {text}")

    def done(self, machine: str) -> None:
        with self._lock:
            self._end(machine, "green", "done")

    def failed(self, machine: str) -> None:
        with self._lock:
            self._end(machine, "red", "failed")

    def _end(self, machine: str, colour: str, word: str) -> None:
        step = self.steps.pop(machine, None)
        if step:
            self._print(machine, colour, word, step, step.title)

    def _print(self, machine: str, colour: str, word: str, step: _Step, text: str) -> None:
        seconds = time.monotonic() - step.started
        line = Text.assemble((f"{machine:<10}", "bold"), (f"{word:<7}", colour), f"{seconds:6.1f} s  {text}")
        self.console.print(line, soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        with self._lock:
            for machine, step in self.steps.items():
                seconds = time.monotonic() - step.started
                now = Text.assemble(step.title, ("  " + step.detail if step.detail else "", "dim"), overflow="ellipsis")
                table.add_row(Text(f"{machine:<9}", style="bold"), step.spinner, f"{seconds:6.1f} s", now)
        return table
