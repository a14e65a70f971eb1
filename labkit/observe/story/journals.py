"""The journals of all machines. Each is read where it is: a machine looks for names and sends only those lines."""

import shlex
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from labkit.cluster import Cluster, Machine
from labkit.observe.packet import Shell
from labkit.observe.story import audit
from labkit.observe.story.lines import TOLD, clean
from labkit.observe.story.target import Unclear
from labkit.provision import own
from labkit.provision.errors import CommandFailed

Reach = Callable[[Machine], AbstractContextManager[Shell]]
READ_SECONDS = 60.0
AROUND = 1_000_000
"""Microseconds before and after a write in which it comes back through the watch."""
WINDOWS = 30
"""So many times are asked for each on its own; more than that as one."""


class Journals:
    """troubles: machines that could not be asked, one line each. A master that cannot be is CommandFailed."""

    def __init__(self, cluster: Cluster, reach: Reach, since: str, pool: ThreadPoolExecutor) -> None:
        self.master = cluster.master.name
        self.troubles: list[str] = []
        self._cluster = cluster
        self._reach = reach
        self.since = f" --since {shlex.quote(since)}" if since else ""
        self._pool = pool
        self._stack = ExitStack()
        self._shells: dict[str, Shell] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def check(self) -> None:
        """Raises Unclear when `since` is no time."""
        if self.since:
            shell = self._shell(self._cluster.master)
            said = shell.run(
                f"journalctl --quiet --lines 0{self.since}", READ_SECONDS, False, what="reading the journal"
            )
            if said.rc:
                raise Unclear(
                    f"{clean(said.err.strip()) or 'not understood'}: expected a time as journalctl takes it,"
                    " such as '10 min ago', '14:05' or '2026-11-23 14:05:00'"
                )

    def lines_about(self, paths: Iterable[str]) -> dict[str, list[str]]:
        """Each machine's lines that name one of these objects, and objects whose names begin like theirs."""
        sent = "\n".join(patterns(paths))
        answers = self._ask(lambda machine: search(journal(self._units(machine), self.since)), sent)
        return {name: text.splitlines() for name, text in answers.items()}

    def told(self, times: Iterable[int]) -> list[str]:
        """The master's lines about revisions that came back through its watch around these times (microseconds)."""
        found: list[str] = []
        for began, ended in windows(times):
            when = f" --since {_written(began)} --until {_written(ended)}"
            command = search(journal(["kube-apiserver"], when))
            found += self._run(self._cluster.master, command, f'"{TOLD}"').splitlines()
        return found

    def audited(self, names: Iterable[str]) -> list[str]:
        """The audit log's entries about objects of these names, but for those of reading."""
        command, sent = audit.command(names)
        return self._run(self._cluster.master, command, sent).splitlines()

    def oldest(self) -> dict[str, int]:
        """When (microseconds) the journal of each machine begins."""
        answers = self._ask(
            lambda machine: f"{journal(self._units(machine), '', 'short-unix')} | head -n 1 | cut -d ' ' -f 1", ""
        )
        return {name: int(float(text) * 1e6) for name, text in answers.items() if text.strip()}

    def _units(self, machine: Machine) -> list[str]:
        return own.services(self._cluster, machine)

    def _ask(self, command: Callable[[Machine], str], sent: str) -> dict[str, str]:
        """All machines at once, without those that were in trouble already."""
        well = [
            each for each in self._cluster.machines if not any(t.startswith(each.name + " ") for t in self.troubles)
        ]
        answers = {each.name: self._pool.submit(self._run, each, command(each), sent) for each in well}
        found = {}
        for name, answer in answers.items():
            try:
                found[name] = answer.result()
            except CommandFailed as exc:
                if name == self.master:
                    raise
                self.troubles.append(f"{name} cannot be asked, its part is missing: {clean(exc.tail or exc.what)}")
        return found

    def _shell(self, machine: Machine) -> Shell:
        if (shell := self._shells.get(machine.name)) is None:
            shell = self._shells[machine.name] = self._stack.enter_context(self._reach(machine))
        return shell

    def _run(self, machine: Machine, command: str, sent: str) -> str:
        shell = self._shell(machine)
        return shell.run(f"{command} || true", timeout=READ_SECONDS, input=sent, what="reading the journal").out


def patterns(paths: Iterable[str]) -> list[str]:
    """What to look for: without those that a shorter one finds already, as a controller's name does its pods'."""
    found: list[str] = []
    for each in sorted(map(pattern, paths)):
        if not found or not each.startswith(found[-1]):
            found.append(each)
    return found


def journal(units: Iterable[str], when: str = "", output: str = "cat") -> str:
    """The command that prints the journal of these units."""
    return f"journalctl --quiet --no-pager --output {output}{when}" + "".join(f" --unit {unit}" for unit in units)


def search(command: str) -> str:
    """Of what the command prints the lines that contain one of the texts that come on stdin, one a line."""
    return f'texts=$(cat); {command} | grep -aF -e "$texts"'


def pattern(path: str) -> str:
    """What the lines about an object have in them: `/default/web` finds its pods `web-x7f2k` and its Endpoints, too."""
    rest = path.partition("/")[2]
    return f"/{rest}" if "/" in rest else path


def windows(times: Iterable[int]) -> list[tuple[int, int]]:
    """From when to when to look: what lies close together is one window."""
    found: list[tuple[int, int]] = []
    for time in sorted(times):
        if found and time - AROUND <= found[-1][1]:
            found[-1] = (found[-1][0], time + AROUND)
        else:
            found.append((time - AROUND, time + AROUND))
    return [(found[0][0], found[-1][1])] if len(found) > WINDOWS else found


def _written(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
    return f"'{moment:%Y-%m-%d %H:%M:%S.%f} UTC'"
