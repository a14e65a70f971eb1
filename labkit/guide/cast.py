"""A terminal session as a file of asciinema, version 2: https://docs.asciinema.org/manual/asciicast/v2/

    {"version": 2, "width": 100, "height": 30, "title": "...", "env": {"TERM": "xterm-256color"}}
    [0.5, "o", "\\u001b[1mhello\\u001b[0m\\r\\n"]        seconds since the start, output, what the terminal gets

The recording is a stream to which the screen writes, beside the real terminal or in place of it. Its time is that of a
Clock, so that an unattended show is recorded as fast as the cluster answers and still plays at a reader's pace.
"""

import io
import json
import time
from pathlib import Path
from typing import Protocol, TextIO

SIZE = (100, 30)  # columns, lines, where there is no terminal to take them from
LONGEST = 2.0  # seconds of a silence that the cluster made


class Clock(Protocol):
    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class WallClock:
    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ShowClock:
    """What is slept takes no time; what the cluster needs counts, up to LONGEST at a time."""

    def __init__(self, wall: Clock | None = None) -> None:
        self._wall = wall or WallClock()
        self._seen, self._shown = self._wall.now(), 0.0

    def now(self) -> float:
        seen = self._wall.now()
        self._shown += min(seen - self._seen, LONGEST)
        self._seen = seen
        return self._shown

    def sleep(self, seconds: float) -> None:
        self._shown += seconds


class Recording(io.StringIO):
    """Takes what is written to the screen, with its time, and hands it on."""

    def __init__(self, clock: Clock, title: str, beside: TextIO | None, size: tuple[int, int] = SIZE) -> None:
        super().__init__()
        self._clock, self._title, self._beside, self._size = clock, title, beside, size
        self._start = clock.now()
        self._events: list[tuple[float, str]] = []

    def write(self, text: str, /) -> int:
        if text:
            self._events.append((round(self._clock.now() - self._start, 3), text.replace("\n", "\r\n")))
        if self._beside:
            self._beside.write(text)
        return len(text)

    def flush(self) -> None:
        if self._beside:
            self._beside.flush()

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """The file."""
        width, height = self._size
        head = {"version": 2, "width": width, "height": height, "title": self._title, "env": {"TERM": "xterm-256color"}}
        lines = [head, *([seconds, "o", text] for seconds, text in self._events)]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def save(self, path: Path) -> None:
        path.write_text(self.text, encoding="utf-8")
