"""The ring of history: places, revisions, and what a selection sees."""

import asyncio

import pytest

from labkit.api.kinds import KINDS
from labkit.api.labels import parse_selector
from labkit.storage.entry import Codec, Entry
from labkit.storage.history import Event, History, TooOld, seen_by
from labkit.storage.selection import Selection
from labkit.testing.eventually import eventually

POD = Codec(KINDS["pods"])


def entry(revision: int, app: str = "a", path: str = "ns/x") -> Entry:
    body = f'{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"x","labels":{{"app":"{app}"}}}}}}'
    return POD.entry(path, body.encode(), revision)


def event(revision: int) -> Event:
    return Event("MODIFIED", entry(revision), entry(revision - 1))


def test_places_and_revisions() -> None:
    history = History(10)
    history.append([event(12), event(15)])
    assert [e.revision for e in history.since(history.place(10))] == [12, 15]
    assert [e.revision for e in history.since(history.place(12))] == [15]
    assert [e.revision for e in history.since(history.place(14))] == [15]
    assert list(history.since(history.place(99))) == []
    with pytest.raises(TooOld, match=r"too old resource version: 9 \(10\)"):
        history.place(9)


def test_an_overfull_ring_forgets_its_oldest_half() -> None:
    history = History(0, size=4)
    for revision in range(1, 10):
        history.append([event(revision)])
    assert (history.oldest, history.end) == (5, 9)
    assert [e.revision for e in history.since(history.place(5))] == [6, 7, 8, 9]
    with pytest.raises(TooOld):
        history.place(4)
    with pytest.raises(TooOld):
        history.since(4)


class Listener:
    """Counts how often it is told, and what it has seen."""

    def __init__(self, history: History) -> None:
        self.history, self.told, self.seen = history, 0, 0

    def tell(self) -> None:
        self.told += 1
        self.seen = self.history.end


async def test_a_lone_event_is_told_at_once() -> None:
    history = History(0)
    stays, leaves = Listener(history), Listener(history)
    history.follow(stays)
    history.follow(leaves)
    history.leave(leaves)
    history.append([event(1)])
    assert (stays.seen, leaves.told) == (1, 0)


async def test_what_comes_thick_and_fast_is_told_in_batches() -> None:
    history = History(0, size=1000)
    listener = Listener(history)
    history.follow(listener)
    for number in range(200):
        history.append([event(number + 1)])
        await asyncio.sleep(0)
    await eventually(lambda: listener.seen == 200, expect="all is told")
    assert listener.told < 100


async def test_a_forgotten_ring_is_told() -> None:
    history = History(0)
    listener = Listener(history)
    history.follow(listener)
    history.forget(5)
    assert listener.told == 1


@pytest.mark.parametrize(
    ("type", "before", "now", "expected"),
    [
        ("ADDED", None, "a", "ADDED"),
        ("ADDED", None, "b", ""),
        ("MODIFIED", "a", "a", "MODIFIED"),
        ("MODIFIED", "a", "b", "DELETED"),
        ("MODIFIED", "b", "a", "ADDED"),
        ("MODIFIED", "b", "b", ""),
        ("DELETED", "a", "a", "DELETED"),
        ("DELETED", "b", "b", ""),
    ],
)
def test_what_a_selection_sees(type: str, before: str | None, now: str, expected: str) -> None:
    happened = Event(type, entry(5, now), entry(4, before) if before else None)
    assert seen_by(Selection("", parse_selector("app=a")), happened) == expected
    assert seen_by(Selection("other/"), happened) == ""


def test_one_that_left_is_shown_as_it_was_when_it_was_in() -> None:
    happened = Event("MODIFIED", entry(1005, "b"), entry(4, "a"))
    assert b'"app":"a"' in happened.frame("DELETED")
    assert b'"resourceVersion":"1005"' in happened.frame("DELETED")
    assert b'"app":"b"' in happened.frame("MODIFIED")
    assert happened.frame("DELETED").endswith(b"}\n")
    assert happened.frame("DELETED") is happened.frame("DELETED")
