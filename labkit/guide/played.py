"""played.json beside a lab, and played.zh.json: what became of it when it was last played by its own solution
(`make labs`) from the English page and from the Chinese one.

    {"digest": "5e0c...",                     of the commands that were played (not of the prose)
     "seconds": 18.2,                         from the first reset to the last
     "checks": 16, "failed_before": 16, "passed_after": 16,
     "drift": 0,                              outputs that differ from those in the page by more than ages, names, ports
     "skips": [{"step": "pods", "fails_at": "service", "named": "pods"}, ...]}     with SKIP=1: one step left out

`docs/labs.md` is made of these files, and the choice that `make test` plays goes by their seconds.
"""

import hashlib
from pathlib import Path

import msgspec

from labkit.guide.format import Check, Lab, Part, Run
from labkit.guide.proof import Skipped
from labkit.guide.rewrite import parts_of


class Played(msgspec.Struct, frozen=True):
    digest: str
    seconds: float = 0
    checks: int = 0
    failed_before: int = 0
    passed_after: int = 0
    drift: int = 0
    skips: tuple[Skipped, ...] = ()
    trouble: str = ""  # why it did not come to its end

    @property
    def good(self) -> bool:
        return not self.trouble and 0 < self.checks == self.failed_before == self.passed_after

    @property
    def tight(self) -> bool:
        return all(skip.good for skip in self.skips)


def digest(lab: Lab) -> str:
    """Changes with what is played, not with how it is explained."""
    runs = [*lab.setups, *parts_of(lab), *lab.resets, *(run for step in lab.steps for run in step.setups)]
    return hashlib.sha256("\n".join(filter(None, map(_typed, runs))).encode()).hexdigest()[:12]


def _typed(part: Part) -> str:
    return f"{part.place}: {part.command}" if isinstance(part, Run | Check) else ""


def path_of(page: Path) -> Path | None:
    """None for a lab that is a single file: it has no folder to keep it in."""
    if not page.name.startswith("lab."):
        return None
    return page.with_name(page.name.replace("lab.", "played.", 1)).with_suffix(".json")


def load(page: Path) -> Played | None:
    path = path_of(page)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Played) if path else None
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def save(page: Path, played: Played) -> None:
    """A play without skipping keeps what an earlier one of the same commands found out by skipping."""
    before = load(page)
    if before and not played.skips and before.digest == played.digest:
        played = msgspec.structs.replace(played, skips=before.skips)
    if path := path_of(page):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(played), indent=2) + b"\n")
