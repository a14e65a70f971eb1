"""STATE/faults.json: the faults that were made and not undone, each with the commands that undo it.

It is written before a fault is made: whatever happens to us then, `labkit fault heal` knows what to undo.
"""

import time
from pathlib import Path

import msgspec

from labkit.cluster import Cluster, write_private
from labkit.provision.faults.plan import HOST, Command, Plan


class Fault(msgspec.Struct):
    """since, ends: seconds of the epoch; ends is 0 for a fault without an end. undo: machine and command, in order."""

    number: int
    says: str
    since: float
    undo: list[tuple[str, str]]
    ends: float = 0

    def is_over(self, now: float) -> bool:
        """Its machines have undone it by themselves meanwhile: we were ended before we could say so."""
        return 0 < self.ends < now and all(machine != HOST for machine, _ in self.undo)

    def commands(self) -> list[Command]:
        return [Command(machine, text) for machine, text in self.undo]


class Book:
    def __init__(self, cluster: Cluster) -> None:
        self.path: Path = cluster.state / "faults.json"

    def faults(self) -> list[Fault]:
        """Oldest first; nothing where nothing was made."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=list[Fault])
        except FileNotFoundError:
            return []

    def next_number(self) -> int:
        return max((fault.number for fault in self.faults()), default=0) + 1

    def add(self, number: int, plan: Plan) -> Fault:
        undo = [(command.machine, command.text) for command in plan.undo]
        now = time.time()
        fault = Fault(number, plan.says, now, undo, now + plan.seconds if plan.seconds else 0)
        self._write([*self.faults(), fault])
        return fault

    def remove(self, number: int) -> None:
        self._write([fault for fault in self.faults() if fault.number != number])

    def _write(self, faults: list[Fault]) -> None:
        write_private(self.path, msgspec.json.format(msgspec.json.encode(faults), indent=2) + b"\n")
