"""One line of the doctor's answer."""

from enum import StrEnum

import msgspec


class Level(StrEnum):
    WELL = "well"
    NOTE = "note"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True):
    """where: "host" or a machine. what: in one line, with the figures. mend: what to type, or to change.

    fix: the remedy that `--fix` applies (a name in remedies.py), and words for it; none where only a person may decide.
    """

    where: str
    what: str
    level: Level = Level.WELL
    mend: str = ""
    fix: str = ""
    words: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        return self.level is Level.WRONG


def well(where: str, what: str) -> Finding:
    return Finding(where, what)


def note(where: str, what: str, mend: str = "") -> Finding:
    return Finding(where, what, Level.NOTE, mend)


def wrong(where: str, what: str, mend: str, fix: str = "", *words: str) -> Finding:
    return Finding(where, what, Level.WRONG, mend, fix, words)
