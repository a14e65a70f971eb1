"""The judge of histories: it lets a right one pass, and finds each violation that is planted."""

import contextlib

import pytest

from tests.chaos.history import Read, Write, judge, judge_all, judge_watch

_W, _R = Write(40, "a", 41, 1.0, 2.0), Read(41, 3.0, 4.0)


@pytest.mark.parametrize(
    ("record", "writes", "reads", "wrong"),
    [
        ([(40, "-"), (41, "a")], [_W], [_R], ""),
        ([(40, "-"), (41, "a")], [_W, Write(40, "b", -1, 1.0, 2.0), Write(40, "c", 0, 1.0, 2.0)], [_R], ""),
        ([(40, "-"), (41, "a"), (42, "b")], [_W, Write(40, "b", 42, 1.0, 2.0)], [], "had not seen"),
        ([(40, "-"), (42, "b")], [_W, Write(40, "b", 42, 1.0, 2.0)], [], "version 41: acknowledged and lost"),
        ([(40, "-"), (41, "a")], [_W._replace(version=42)], [], "acknowledged and lost"),
        ([(40, "-"), (41, "a")], [_W._replace(version=0)], [], "written all the same"),
        ([(40, "-"), (41, "a"), (42, "a")], [_W], [], "written twice"),
        ([(40, "-"), (41, "a"), (43, "x")], [_W], [], "version 43 was written by nobody"),
        ([(40, "-")], [_W._replace(version=0)], [], "without a reason"),
        ([(40, "-"), (41, "a")], [_W], [_R._replace(version=40)], "a stale read"),
        ([(40, "-"), (41, "a")], [_W], [_R._replace(version=39)], "never written"),
        ([(40, "-"), (41, "a")], [_W._replace(version=-1)], [_R, Read(40, 5.0, 6.0)], "backwards"),
    ],
)
def test_replacing(record: list[tuple[int, str]], writes: list[Write], reads: list[Read], wrong: str) -> None:
    caught = pytest.raises(AssertionError, match=wrong) if wrong else contextlib.nullcontext()
    with caught:
        judge(record, writes, reads)


_C = Write(0, "a", 50, 1.0, 2.0)


@pytest.mark.parametrize(
    ("record", "writes", "wrong"),
    [
        ([(50, "a")], [_C, Write(0, "b", 0, 1.0, 2.0), Write(0, "c", -1, 1.0, 2.0)], ""),
        ([], [Write(0, "a", -1, 1.0, 2.0)], ""),
        ([(50, "a")], [_C, Write(0, "b", 51, 1.0, 2.0)], "acknowledged and lost"),  # two winners
        ([(50, "a"), (51, "b")], [_C, Write(0, "b", 51, 1.0, 2.0)], "had not seen"),  # and both in the record
        ([(50, "a")], [_C._replace(version=0)], "written all the same"),
        ([], [_C], "acknowledged and lost"),
        ([], [_C._replace(version=0)], "without a reason"),
    ],
)
def test_creating(record: list[tuple[int, str]], writes: list[Write], wrong: str) -> None:
    caught = pytest.raises(AssertionError, match=wrong) if wrong else contextlib.nullcontext()
    with caught:
        judge(record, writes, [])


def test_each_object_for_itself() -> None:
    records = {"a": [(40, "-"), (42, "x")], "b": [(41, "-")]}
    write = Write(40, "x", 42, 1.0, 2.0, "a")
    judge_all(records, [write], [Read(41, 3.0, 4.0, "b")])
    with pytest.raises(AssertionError, match="acknowledged and lost"):
        judge_all(records, [write, Write(0, "y", 43, 1.0, 2.0, "c")], [])


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        ([41, 42, 44], ""),
        ([41, 44], "told of version 44 in the place of 42"),
        ([41, 41, 42, 44], "told of version 41 twice"),
        ([42, 41, 44], "told of version 42 in the place of 41"),
        ([41, 42], "never told of version 44"),
        ([41, 42, 44, 45], "told of version 45, which is not in the record"),
    ],
)
def test_watching(seen: list[int], wrong: str) -> None:
    caught = pytest.raises(AssertionError, match=wrong) if wrong else contextlib.nullcontext()
    with caught:
        judge_watch([41, 42, 44], seen)
