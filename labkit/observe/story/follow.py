"""`labkit story --follow`: hops as they happen, until Ctrl-C.

Every machine's journal is followed. A line may come late (what the watch cache told comes up to 0.2 s after), and what
came before it in cause is to be told before it: so a hop is told when nothing older is to be expected any more.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from labkit.cluster import Cluster, Machine
from labkit.observe.story import journals
from labkit.observe.story.gather import services_of
from labkit.observe.story.journals import pattern
from labkit.observe.story.lines import TOLD, clean, parse_all
from labkit.observe.story.relevant import family_of
from labkit.observe.story.tell import in_short, tell
from labkit.observe.story.told import Chapter, Known, Told
from labkit.provision import own
from labkit.provision.errors import CommandFailed
from labkit.provision.ssh import Ssh

SETTLED = 0.6
"""Seconds until nothing older than a line is to be expected."""
RECENT = 3000
"""Lines of others that are kept: the name of a child becomes known after its first line was written."""
FOLLOW_SECONDS = 24 * 3600
Heard = tuple[str, str]
"""Machine and line."""


class Live:
    """Takes lines, gives hops: each once, in the order of cause and effect as far as that is known by then."""

    def __init__(self, known: Known, *, everything: bool = False) -> None:
        self._known = known
        self._everything = everything
        self._mine: dict[str, list[str]] = {}
        self._recent: deque[Heard] = deque(maxlen=RECENT)
        self._patterns: set[str] = set()
        self._told: set[tuple[object, ...]] = {_identity(hop) for _, hop in self._hops()}
        self._first_seen: dict[tuple[object, ...], float] = {}
        self._learn()

    def hear(self, machine: str, text: str) -> None:
        if self._is_mine(text):
            self._mine.setdefault(machine, []).append(text)
        else:
            self._recent.append((machine, text))

    def news(self, now: float) -> list[tuple[Chapter, Told]]:
        """What has not been told yet, up to the last hop that was heard of SETTLED ago. now: seconds, monotonic (of our
        own clock: those of the machines may differ)."""
        while self._learn():
            pass
        found = [(chapter, hop) for chapter, hop in self._hops() if _identity(hop) not in self._told]
        settled = 0
        for number, (_, hop) in enumerate(found, start=1):
            if self._first_seen.setdefault(_identity(hop), now) <= now - SETTLED:
                settled = number
        for _, hop in found[:settled]:
            self._told.add(_identity(hop))
            self._first_seen.pop(_identity(hop))
        return found[:settled]

    def _is_mine(self, text: str) -> bool:
        return TOLD in text or any(each in text for each in self._patterns)

    def _now(self) -> Known:
        """What was known at the start, and what has been heard since."""
        lines, applied = parse_all(self._mine)
        known = self._known
        seen = {(line.machine, line.time, line.component, line.decision, line.object) for line in known.lines}
        new = [line for line in lines
               if (line.machine, line.time, line.component, line.decision, line.object) not in seen]  # fmt: skip
        both = [*known.lines, *new]
        related = [*known.related, *services_of(known.target, both, known.owned)]
        return replace(known, lines=both, applied=[*known.applied, *applied], related=list(dict.fromkeys(related)))

    def _hops(self) -> Iterator[tuple[Chapter, Told]]:
        for chapter in tell(self._now(), everything=True).chapters:
            for hop in chapter.hops if self._everything else in_short(chapter):
                yield chapter, hop

    def _learn(self) -> bool:
        """Whether a name has become known; then what was heard of it before counts, too."""
        now = self._now()
        names = {*family_of(now.target, now.lines, now.owned), *now.related}
        patterns = {pattern(name) for name in names}
        if patterns <= self._patterns:
            return False
        self._patterns |= patterns
        heard, self._recent = self._recent, deque(maxlen=RECENT)
        for machine, text in heard:
            self.hear(machine, text)
        return True


def _identity(hop: Told) -> tuple[object, ...]:
    return hop.machine, hop.component, hop.clock, hop.function, hop.object, hop.text


class Ears:
    """Follows the journals of all machines, each in a thread of its own; lines come out of `heard`."""

    def __init__(self, cluster: Cluster) -> None:
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.troubles: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._cluster = cluster
        self._shells = [Ssh(cluster, machine) for machine in cluster.machines]

    def start(self) -> None:
        for shell in self._shells:
            threading.Thread(
                target=self._listen, args=(shell,), name=f"story-{shell.machine.name}", daemon=True
            ).start()

    def close(self) -> None:
        for shell in self._shells:
            shell.close()

    def _listen(self, shell: Ssh) -> None:
        name = shell.machine.name
        command = journals.journal(_units(self._cluster, shell.machine), " --follow --lines 0")
        try:
            shell.run(
                command, timeout=FOLLOW_SECONDS, what="following the journal",
                on_line=lambda line: self.heard.put((name, line)),
            )  # fmt: skip
        except CommandFailed as exc:
            self.troubles.put(f"{name} cannot be heard any more: {clean(exc.tail or exc.what)}")


def _units(cluster: Cluster, machine: Machine) -> list[str]:
    return own.services(cluster, machine)


def follow(live: Live, ears: Ears) -> Iterator[list[tuple[Chapter, Told]]]:
    """News for ever, some at a time; an empty list now and then, so that whoever prints can look at the troubles."""
    while True:
        time.sleep(SETTLED / 2)
        while not ears.heard.empty():
            live.hear(*ears.heard.get())
        yield live.news(time.monotonic())
