"""Which of the things on a host labkit has changed: three small functions over {"file /etc/hosts": "644 0 0 9f86..."}.

    found             change      somebody's     change       found again
    opened(None) ---> seal -----> own edits ---> opened() --> seal -----> undo
    before = all      ours = what differs        before learns of edits   what of `ours` is not as before

A run that was cut off leaves the ledger open (`sealed` is None): all that differs then counts as labkit's.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

Things = dict[str, str]
LASTING = ("file", "package", "user", "group", "sysctl")
"""Kinds that somebody else may change in between. Of the others, which come and go with what runs, only how they were
found counts."""


@dataclass
class Ledger:
    """before: as it was found. ours: keys that labkit has made, changed or removed. sealed: as labkit left it."""

    before: Things
    ours: list[str] = field(default_factory=list)
    sealed: Things | None = None

    def dumps(self) -> str:
        return json.dumps({"before": self.before, "ours": self.ours, "sealed": self.sealed})

    @staticmethod
    def loads(text: str) -> "Ledger":
        return Ledger(**json.loads(text))


def differing(one: Things, other: Things) -> list[str]:
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def opened(
    ledger: Ledger | None, now: Things, renewed: Callable[[str], bool] = lambda key: False
) -> tuple[Ledger, list[str]]:
    """The ledger before a change, and which keys somebody else has changed since it was sealed.

    renewed: says of a key that labkit itself changes it in between (`labkit push`).
    """
    if ledger is None:
        return Ledger(dict(now)), []
    if ledger.sealed is None:
        return ledger, []
    theirs = [key for key in differing(ledger.sealed, now)
              if key.partition(" ")[0] in LASTING and key not in ledger.ours and not renewed(key)]  # fmt: skip
    before = dict(ledger.before)
    for key in theirs:
        before.pop(key, None)
        if key in now:
            before[key] = now[key]
    return Ledger(before, list(ledger.ours)), theirs


def sealed(ledger: Ledger, now: Things) -> Ledger:
    """The ledger after a change. What was ours once stays ours, also while it is as it was found."""
    ours = sorted({*ledger.ours, *differing(ledger.before, now)})
    return Ledger(ledger.before, ours, dict(now))


def to_undo(ledger: Ledger, now: Things) -> list[str]:
    """The keys that are labkit's doing and are not as they were found."""
    changed = set(differing(ledger.before, now))
    return sorted(changed if ledger.sealed is None else changed & set(ledger.ours))
