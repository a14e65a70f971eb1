"""Faults are written down before they are made, and forgotten when they are undone."""

from collections.abc import Sequence

import pytest

from labkit.cluster import Cluster, init
from labkit.provision.errors import CommandFailed
from labkit.provision.faults import play
from labkit.provision.faults.book import Book
from labkit.provision.faults.plan import HOST, Command, Plan

BREAK, MEND = Command("agent1", "break it"), Command("agent1", "mend it")
PLAN = Plan("it is broken", (BREAK,), (MEND,))


@pytest.fixture
def cluster(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return init("lab", agents=2)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> list[str]:
    """What was run; `break it` sees the book as it is then."""
    texts: list[str] = []

    def run(cluster: Cluster, commands: Sequence[Command], tell: play.Tell) -> None:
        for command in commands:
            tell(command)
            texts.append(f"{command.text} ({len(Book(cluster).faults())} in the book)")
            if command.text == "fail":
                raise CommandFailed(command.machine, "fail")

    monkeypatch.setattr(play, "_run", run)
    return texts


def ignore(command: Command) -> None: ...


def test_written_down_before_it_is_made_and_forgotten_after_it_is_undone(cluster: Cluster, ran: list[str]) -> None:
    fault = play.make(cluster, PLAN, 1, ignore)
    assert fault
    assert Book(cluster).path.stat().st_mode & 0o777 == 0o600
    play.undo(cluster, Book(cluster).faults()[0], ignore)
    assert ran == ["break it (1 in the book)", "mend it (1 in the book)"]
    assert Book(cluster).faults() == []
    assert Book(cluster).next_number() == 1


def test_what_does_not_last_is_not_written_down(cluster: Cluster, ran: list[str]) -> None:
    assert play.make(cluster, Plan("it was killed", (BREAK,)), 1, ignore) is None
    assert ran == ["break it (0 in the book)"]


def test_half_a_fault_is_undone(cluster: Cluster, ran: list[str]) -> None:
    with pytest.raises(CommandFailed):
        play.make(cluster, Plan("half", (BREAK, Command("agent1", "fail")), (MEND,)), 1, ignore)
    assert [text.split(" (")[0] for text in ran] == ["break it", "fail", "mend it"]
    assert Book(cluster).faults() == []


def test_what_could_not_be_undone_is_not_forgotten(cluster: Cluster, ran: list[str]) -> None:
    fault = play.make(cluster, Plan("it", (BREAK,), (Command("agent1", "fail"),)), 1, ignore)
    assert fault
    with pytest.raises(CommandFailed):
        play.undo(cluster, fault, ignore)
    assert [left.says for left in Book(cluster).faults()] == ["it"]
    assert Book(cluster).next_number() == 2


def test_a_dry_run_only_shows(cluster: Cluster, ran: list[str]) -> None:
    told: list[Command] = []
    assert play.make(cluster, PLAN, 1, told.append, dry_run=True) is None
    assert (told, ran, Book(cluster).faults()) == ([BREAK], [], [])


def test_a_fault_whose_time_is_over_was_undone_by_its_machines(cluster: Cluster, ran: list[str]) -> None:
    """We were killed meanwhile; what only the host could undo is not over."""
    fault = Book(cluster).add(1, Plan("it", (BREAK,), (MEND,), seconds=30))
    assert [fault.is_over(fault.since + seconds) for seconds in (29, 31)] == [False, True]
    off = Book(cluster).add(2, Plan("off", (BREAK,), (Command(HOST, "labkit up"),), seconds=30))
    assert not off.is_over(off.since + 31)
    assert not Book(cluster).add(3, PLAN).is_over(off.since + 9999)
