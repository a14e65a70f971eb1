"""What was asked, what came back, and what was wrong with it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from tests.fuzz.exchange import Exchange, Sent

_SHOWN = 20


class Counts:
    """`faults`: what is wrong -> how often, `examples`: the first exchange of each."""

    def __init__(self) -> None:
        self.campaign = ""
        self.codes: dict[str, Counter[str]] = defaultdict(Counter)
        self.routes: set[str] = set()
        self.faults: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._of_campaign: Counter[str] = Counter()

    def answered(self, label: str, exchange: Exchange, faults: list[str]) -> None:
        self.routes.add(label)
        self.codes[self.campaign][str(exchange.code)] += 1
        for fault in faults:
            self._fault(label, fault, str(exchange))

    def broken(self, label: str, sent: Sent, fault: str) -> None:
        """Nothing came back."""
        self.routes.add(label)
        self.codes[self.campaign]["none"] += 1
        self._fault(label, fault, str(sent))

    def _fault(self, label: str, fault: str, example: str) -> None:
        alike = re.sub(r"\d+|'[^']*'", "#", fault.partition("\n")[0])[:160]
        key = f"{label}: {alike}"
        self.faults[key] += 1
        self._of_campaign[self.campaign] += 1
        self.examples.setdefault(key, f"{fault}\n{example}")

    @property
    def requests(self) -> int:
        return sum(counter.total() for counter in self.codes.values())

    def table(self) -> str:
        """A line for each campaign: requests, answers of each code, faults."""
        codes = sorted({code for counter in self.codes.values() for code in counter})
        head = f"{'campaign':<22}{'requests':>9}" + "".join(f"{code:>7}" for code in codes) + f"{'faults':>8}"
        lines = [head]
        for name, counter in self.codes.items():
            figures = "".join(f"{counter[code] or '':>7}" for code in codes)
            lines.append(f"{name:<22}{counter.total():>9}{figures}{self._of_campaign[name]:>8}")
        lines.append(f"{len(self.routes)} routes, {self.requests} requests, {len(self.faults)} kinds of faults")
        return "\n".join(lines)

    def report(self) -> str:
        """The faults, the most frequent first, each with an example to send again."""
        found = self.faults.most_common(_SHOWN)
        told = [f"--- {count} x {key}\n{self.examples[key]}" for key, count in found]
        more = len(self.faults) - len(found)
        return "\n".join([*told, *([f"... and {more} more"] if more > 0 else [])])
