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
from typing import Protocol, TextIO

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
    def clear(self) -> None: ...
    def title(self, text: str, under: str = "") -> None: ...
    def markdown(self, text: str) -> None: ...
    def code(self, language: str, text: str, caption: str) -> None: ...
    def command(self, where: str, text: str, hand: str = "", typed: bool = True) -> None: ...
    def output(self, text: str) -> None: ...
    def copyable(self, text: str) -> None: ...
    def say(self, text: str, mood: str = "") -> None: ...
    def ask(self, prompt: str) -> str: ...
    def key(self, watch: Callable[[], bool] | None = None) -> str: ...
    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None: ...


WATCH_SECONDS = 2  # between two looks at the cluster while a key is waited for
MOODS = {"good": "bold green", "bad": "bold red", "quiet": "dim", "hint": "yellow", "": ""}
WIDTH = 100  # lines longer than this tire the eye


# What the keys that a remote control of slides has, and arrows, send -> the key of ours.
_NAMED_KEYS = {"\x1b[C": "n", "\x1b[6~": "n", "\x1b[B": "n", "\x1b[D": "b", "\x1b[5~": "b", "\x1b[A": "b"}


class Terminal:
    """`typing` is the time per character that commands take to appear (0: at once); `recording` takes what is shown, on
    a terminal of its own size, and `sleep` is how its time passes."""

    def __init__(
        self, typing: float = 0, recording: TextIO | None = None, size: tuple[int, int] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that knows no bullets shows ? in their place
        # Colours only of the terminal's own palette, no backgrounds: it may be light or dark.
        self._console = Console(
            file=recording, highlight=False, theme=Theme({"markdown.code": "cyan", "markdown.code_block": "cyan"}),
            force_terminal=True if recording else None, color_system="standard" if recording else "auto",
        )  # fmt: skip
        self._typing = typing if self._console.is_terminal else 0
        self._size, self._sleep = size, sleep

    @property
    def console(self) -> Console:
        """As wide as the terminal is now: a pane may have been split, a window drawn larger."""
        columns = self._size[0] if self._size else shutil.get_terminal_size().columns
        self._console.width = min(columns, WIDTH)
        return self._console

    def clear(self) -> None:
        """A new screen, where there is one."""
        if self.console.is_terminal and os.environ.get("TERM") != "dumb":
            self.console.clear()

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

    def command(self, where: str, text: str, hand: str = "", typed: bool = True) -> None:
        """`typed`: as if by hand, if this screen types. Long lines are not wrapped: what is copied is what is typed."""
        self.console.print()
        if hand:
            self.console.print(Text(hand, style="dim"))
        self.console.print(Text(f"[{where}] ", style="cyan"), end="")
        for index, line in enumerate(text.splitlines()):
            self.console.print(Text("# " if index == 0 else "> ", style="cyan"), end="")
            self._type(line, self._typing if typed else 0)

    def _type(self, line: str, seconds: float) -> None:
        for char in line if seconds else ():
            self.console.print(Text(char, style="bold"), end="", soft_wrap=True)
            self._sleep(seconds)
        self.console.print(Text("" if seconds else line, style="bold"), soft_wrap=True)

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
        return _NAMED_KEYS.get(typed, "" if typed[0] in "\r\n" else typed[0].lower())

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table)
