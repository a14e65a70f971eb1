"""The examples below each command's options in `--help`, from one page: examples.txt, `COMMAND   what it does`."""

import re
from pathlib import Path
from typing import Any

from rich.markup import escape

PAGE = Path(__file__).parent / "examples.txt"


def read() -> list[tuple[str, str]]:
    """(what is typed after `labkit`, what it does), in the order of the page."""
    lines = [line for line in PAGE.read_text().splitlines() if line and not line.startswith("#")]
    return [(typed, purpose) for typed, purpose in (re.split(r"\s{2,}", line, maxsplit=1) for line in lines)]


def attach(command: Any, path: str = "") -> None:
    """Give the command, and all below it, the examples that begin with its name. (Typer publishes no type for one.)"""
    for name, below in getattr(command, "commands", {}).items():
        attach(below, f"{path} {name}".strip())
    if path and not command.epilog and (mine := of(path)):
        width = max(len(typed) for typed, _ in mine)
        rows = [f"[cyan]labkit {escape(typed.ljust(width))}[/cyan]   {escape(purpose)}" for typed, purpose in mine]
        command.epilog = "\n".join(["Examples:", *rows])


def of(path: str) -> list[tuple[str, str]]:
    """The examples of one command (`fault kill`), or of all below one (`fault`)."""
    words = path.split()
    return [(typed, purpose) for typed, purpose in read() if typed.split()[: len(words)] == words]
