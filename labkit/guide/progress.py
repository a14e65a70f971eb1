"""progress.json: how far a learner is, one small file per cluster, in its state directory.

    {"seed": "9f3c81", "labs": {"redis-master": {
        "step": "service",                     the step's id in the page ("" before the first)
        "part": 3,                             index into the parts of that step
        "answers": {"PROXY_PORT": "34273"},    what the learner found, by name
        "passed": ["pods"],                    steps whose checks passed
        "hints": 1,                            hints seen in the present step
        "finished": false,
        "updated": "2026-11-22T10:26:26Z"}}}

`seed` draws what varies from learner to learner (vary.py). The file holds nothing else that a cluster cannot be asked
for again; delete it to begin anew.
"""

import contextlib
import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

from labkit.guide.engine import Progress


class Saved(msgspec.Struct, omit_defaults=False):
    step: str = ""
    part: int = 0
    answers: dict[str, str] = {}
    passed: list[str] = []
    hints: int = 0
    finished: bool = False
    updated: str = ""


class Book(msgspec.Struct):
    labs: dict[str, Saved] = {}
    seed: str = ""


class ProgressFile:
    def __init__(self, state: Path) -> None:
        self.path = state / "progress.json"

    def load(self, lab: str) -> Progress:
        saved = self._book().labs.get(lab)
        if saved is None:
            return Progress()
        return Progress(saved.step, saved.part, saved.answers, tuple(saved.passed), saved.hints, saved.finished)

    def save(self, lab: str, progress: Progress) -> None:
        """Written beside and renamed, so that a Ctrl-C leaves the old or the new file, never half of one."""
        book = self._book()
        fields: dict[str, Any] = {key: getattr(progress, key) for key in ("step", "part", "hints", "finished")}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        book.labs[lab] = Saved(**fields, answers=dict(progress.answers), passed=list(progress.passed), updated=now)
        self._write(book)

    def seed(self) -> str:
        """This learner's: made when first asked for."""
        book = self._book()
        if not book.seed:
            book.seed = secrets.token_hex(3)
            self._write(book)
        return book.seed

    def reseed(self, seed: str) -> None:
        book = self._book()
        book.seed = seed
        self._write(book)

    def forget(self, lab: str) -> None:
        book = self._book()
        if book.labs.pop(lab, None) is not None:
            self._write(book)

    def _write(self, book: Book) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(book), indent=2) + b"\n")
        beside.replace(self.path)

    def _book(self) -> Book:
        """A file that cannot be read is put aside as progress.broken, never overwritten."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Book)
        except FileNotFoundError:
            return Book()
        except (msgspec.DecodeError, UnicodeDecodeError):
            with contextlib.suppress(OSError):
                self.path.replace(self.path.with_suffix(".broken"))
            return Book()
