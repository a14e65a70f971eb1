"""What the learner sees: rich on a terminal of any width, plain lines where there is none (or NO_COLOR, TERM=dumb).

Answers are lines ended by Enter; choices are one key, or a line where the terminal cannot (TERM=dumb, a pipe).
"""

import io
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from labkit.guide.cjk import broken


@contextmanager
def _unbuffered(terminal: int) -> Iterator[int]:
    """Keys come as they are pressed and are not echoed; Ctrl-C stays what it is."""
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


class Screen(Protocol):
    def title(self, text: str, under: str = "") -> None: ...
    def markdown(self, text: str) -> None: ...
    def code(self, language: str, text: str, caption: str) -> None: ...
    def command(self, where: str, text: str, hand: str = "") -> None: ...
    def output(self, text: str) -> None: ...
    def copyable(self, text: str) -> None: ...
    def say(self, text: str, mood: str = "") -> None: ...
    def ask(self, prompt: str) -> str: ...
    def key(self, watch: Callable[[], bool] | None = None) -> str: ...
    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None: ...


WATCH_SECONDS = 2  # between two looks at the cluster while a key is waited for
MOODS = {"good": "bold green", "bad": "bold red", "quiet": "dim", "hint": "yellow", "": ""}
WIDTH = 100  # lines longer than this tire the eye


class Terminal:
    """`typing` is the time per character that commands take to appear (0: at once)."""

    def __init__(self, typing: float = 0) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that knows no bullets shows ? in their place
        # Colours only of the terminal's own palette, no backgrounds: it may be light or dark.
        self._console = Console(highlight=False, theme=Theme({"markdown.code": "cyan", "markdown.code_block": "cyan"}))
        self._typing = typing if self._console.is_terminal else 0

    @property
    def console(self) -> Console:
        """As wide as the terminal is now: a pane may have been split, a window drawn larger."""
        self._console.width = min(shutil.get_terminal_size().columns, WIDTH)
        return self._console

    def title(self, text: str, under: str = "") -> None:
        self.console.print()
        self.console.print(Rule(Text(text, style="bold"), align="left"))
        if under:
            self.console.print(Text(under, style="dim"))

    def markdown(self, text: str) -> None:
        self.console.print()
        self.console.print(Markdown(broken(text, self.console.width), code_theme="ansi_dark"))

    def code(self, language: str, text: str, caption: str) -> None:
        self.console.print()
        self.console.print(Text(caption, style="dim"))
        shown = Syntax(text.rstrip("\n"), language, theme="ansi_dark", background_color="default", word_wrap=True)
        self.console.print(Padding(shown, (0, 0, 0, 2)))

    def command(self, where: str, text: str, hand: str = "") -> None:
        """Long lines are not wrapped by us: what is copied must be what is typed."""
        self.console.print()
        if hand:
            self.console.print(Text(hand, style="dim"))
        self.console.print(Text(f"[{where}] ", style="cyan"), end="")
        for index, line in enumerate(text.splitlines()):
            self.console.print(Text("# " if index == 0 else "> ", style="cyan"), end="")
            self._type(line)

    def _type(self, line: str) -> None:
        for char in line if self._typing else ():
            self.console.print(Text(char, style="bold"), end="", soft_wrap=True)
            time.sleep(self._typing)
        self.console.print(Text("" if self._typing else line, style="bold"), soft_wrap=True)

    def output(self, text: str) -> None:
        if text:
            self.console.print(Text(text.rstrip("\n")), soft_wrap=True)

    def copyable(self, text: str) -> None:
        """One line as it is, however long: a line break of ours would be copied too."""
        self.console.print(Text(text, style="dim"), soft_wrap=True)

    def say(self, text: str, mood: str = "") -> None:
        self.console.print(Text(text, style=MOODS[mood]))

    def ask(self, prompt: str) -> str:
        """One line without its end. Raises EOFError at the end of input."""
        return self.console.input(Text(prompt, style="dim" if prompt.endswith("\n") else "")).strip()

    def key(self, watch: Callable[[], bool] | None = None) -> str:
        """One key, as soon as it is pressed, where the terminal can; else the first letter of a line ended by Enter.
        "" is Enter. `watch` is asked now and then while nothing is pressed; its yes counts as Enter.
        Raises EOFError, KeyboardInterrupt."""
        if not (self.console.is_terminal and sys.stdin.isatty()) or os.environ.get("TERM") == "dumb":
            return self.ask("> ").lower()[:1]
        with _unbuffered(sys.stdin.fileno()) as terminal:
            while not select.select([terminal], [], [], WATCH_SECONDS)[0]:
                if watch is not None and watch():
                    return ""
            typed = os.read(terminal, 64).decode(errors="replace")
        if not typed or typed[0] == "\x04":
            raise EOFError
        return "" if typed[0] in "\r\n" else typed[0].lower()

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table)
