"""The judge: etcd's own record of some objects, held against what everybody was told.

    etcd        0 -> 40 -> 41 -> 43 -> ...       each version made from the one before it: nobody overwrote unseen
    writers     acknowledged: in the record, once; refused: not in it; connection lost: may be in it
    creators    the same from nothing: of many, one is acknowledged
    readers     nothing older than what had been acknowledged when they asked, and never backwards
    watchers    every version, in order, once, whatever broke in between

Times are time.monotonic() of one machine, versions are etcd's revisions. What is wrong is raised as AssertionError.
Source of the method: Jepsen's registers; compare and swap makes the order of the writes visible, so none is searched.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple


class Write(NamedTuple):
    """An attempt: from which version (0: none, a create), which content. `version`: as acknowledged; 0: refused; -1:
    nobody knows."""

    base: int
    token: str
    version: int
    began: float
    ended: float
    key: str = "c"


class Read(NamedTuple):
    version: int
    began: float
    ended: float
    key: str = "c"


Record = Sequence[tuple[int, str]]  # (revision, token) of every version of one object, in order, its creation first


def judge_all(records: dict[str, Record], writes: Iterable[Write], reads: Iterable[Read]) -> None:
    """Every object for itself."""
    written: dict[str, list[Write]] = defaultdict(list)
    read: dict[str, list[Read]] = defaultdict(list)
    for write in writes:
        written[write.key].append(write)
    for one in reads:
        read[one.key].append(one)
    for name in {*records, *written, *read}:
        judge(records.get(name, ()), written[name], read[name])


def judge(record: Record, writes: Sequence[Write], reads: Sequence[Read]) -> None:
    """One object. A creation that is not among the writes is somebody's preparation."""
    _judge_writes(record, writes)
    _judge_reads({revision for revision, _ in record}, writes, reads)


def _judge_writes(record: Record, writes: Sequence[Write]) -> None:
    before = dict(zip((revision for revision, _ in record), (0, *(revision for revision, _ in record)), strict=False))
    revision_of = {token: revision for revision, token in record}
    assert len(revision_of) == len(record), "a content was written twice"
    by_token = {write.token: write for write in writes}
    for number, (revision, token) in enumerate(record):
        if number or token in by_token:
            assert token in by_token, f"version {revision} was written by nobody"
            assert by_token[token].base == before[revision], "written over a version that its writer had not seen"
    for write in writes:
        if write.version > 0:
            assert revision_of.get(write.token) == write.version, f"version {write.version}: acknowledged and lost"
        if write.version == 0:
            assert write.token not in revision_of, "refused and written all the same"
            assert any(revision > write.base for revision, _ in record), "refused without a reason"


def _judge_reads(versions: set[int], writes: Sequence[Write], reads: Sequence[Read]) -> None:
    acknowledged = _Newest((write.ended, write.version) for write in writes if write.version > 0)
    seen = _Newest((read.ended, read.version) for read in reads)
    for read in reads:
        assert read.version in versions, f"version {read.version} was read and never written"
        assert read.version >= acknowledged.before(read.began), "a stale read"
        assert read.version >= seen.before(read.began), "time went backwards"


def judge_watch(record: Sequence[int], seen: Sequence[int]) -> None:
    """record: the revisions of all that a watcher was to be told of, in order."""
    for number, revision in enumerate(seen):
        assert number < len(record), f"told of version {revision}, which is not in the record"
        assert revision == record[number], (
            f"told of version {revision} twice" if revision in seen[:number]
            else f"told of version {revision} in the place of {record[number]}: a gap, or another order"
        )  # fmt: skip
    assert len(seen) == len(record), f"never told of version {record[len(seen)]}"


class _Newest:
    """The highest version of those that ended before a moment."""

    def __init__(self, ended: Iterable[tuple[float, int]]) -> None:
        pairs = sorted(ended)
        self._times = [time for time, _ in pairs]
        self._highest = [0, *accumulate((version for _, version in pairs), max)]

    def before(self, moment: float) -> int:
        return self._highest[bisect_left(self._times, moment)]
