"""What the two modes that leave the carrying to the kernel have in common: rules, and the difference of two tables.

    ServedPort --iptables_rules or nftables_rules--> [Rule, ...] --contents--> what is wanted --+
    what the kernel has, read and parsed -----------------------------------> what is there  --+-> compare -> Change

A rule stands in a container: a chain (`nat KUBE-SVC-...`, `chain service-...`), a map or a set. Most containers belong
to one service port and are written as a whole; a few are shared by all services, and only single lines come and go.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from labkit.api.types import Service

Contents = dict[str, list[str]]  # container -> its lines, in order


class Rule(NamedTuple):
    """A line of a container, and the function that made it."""

    container: str
    text: str
    made_by: Callable[..., Any]
    service: Service | None = None

    def __str__(self) -> str:
        return f"{self.container} {self.text}"


class Change(NamedTuple):
    """From what is there to what is wanted."""

    made: list[str]  # containers that are not there yet
    written: Contents  # containers of one service port whose lines are not the right ones: all their lines
    added: list[tuple[str, str]]  # lines of shared containers
    removed: list[tuple[str, str]]
    vanished: list[str]  # containers that nothing wants any more

    def __bool__(self) -> bool:
        return any(self)


def contents(rules: Iterable[Rule], containers: Iterable[str] = ()) -> Contents:
    """The lines of each container, in the order of the rules. containers: what is there even without a line."""
    found: Contents = {name: [] for name in containers}
    for rule in rules:
        found.setdefault(rule.container, []).append(rule.text)
    return found


def compare(have: Contents, want: Contents, shared: Collection[str]) -> Change:
    """What leads from `have` to `want`. Within a shared container the order of lines does not matter."""
    change = Change([name for name in want if name not in have], {}, [], [], [])
    for name, lines in want.items():
        there = have.get(name, [])
        if lines == there:
            continue
        if name in shared:
            change.added.extend((name, line) for line in (Counter(lines) - Counter(there)).elements())
            change.removed.extend((name, line) for line in (Counter(there) - Counter(lines)).elements())
        else:
            change.written[name] = lines
    for name, there in have.items():
        if name in want:
            continue
        if name in shared:
            change.removed.extend((name, line) for line in there)
        else:
            change.vanished.append(name)
    return change
