"""The seam between the API server and where it keeps things: keys, bytes, and one counter of revisions.

Every transaction that changes anything raises the store's revision by one, and each key remembers the revision that
wrote it last. That number is what clients see as resourceVersion.

    StorageError
    ├── Mismatch          a key did not have the revision that the transaction expected; carries what is there now
    ├── Compacted         the asked revision's history has been thrown away
    ├── TooLarge          the store refuses a value of this size
    ├── StorageFull       the store takes nothing more until somebody makes room
    └── StorageUnavailable  the store does not answer; whether a running transaction took place is unknown
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple, Protocol


class StorageError(Exception):
    """The store could not do what was asked."""


class Mismatch(StorageError):
    """A transaction's expectation did not hold, nothing was written.

    `current`: what each expected key holds now; None where there is no such key.
    """

    def __init__(self, current: "Mapping[str, Stored | None]") -> None:
        super().__init__(f"not as expected: {', '.join(current)}")
        self.current = current

    def is_not(self, key: str, revision: int) -> bool:
        """Whether an expected key has another revision than this (0: absent)."""
        stored = self.current[key]
        return (stored.revision if stored else 0) != revision


class Compacted(StorageError):
    """History before `revision` is gone (0: the store did not say)."""

    def __init__(self, revision: int = 0) -> None:
        super().__init__(f"history before revision {revision or '?'} has been compacted")
        self.revision = revision


class TooLarge(StorageError):
    """The request exceeds the store's limit (etcd: 1.5 MiB)."""


class StorageFull(StorageError):
    """The store has used up its quota (etcd: --quota-backend-bytes); it can be read, and keys can be deleted."""


class StorageUnavailable(StorageError):
    """The store could not be reached or did not answer in time."""


class Stored(NamedTuple):
    """A key's value and the revision that wrote it."""

    key: str
    value: bytes
    revision: int


class Page(NamedTuple):
    """Keys in order, as they were at `revision`; `more`: keys that the limit cut off."""

    items: list[Stored]
    revision: int
    more: int


class Change(NamedTuple):
    """One key written (value) or deleted (None) by transaction `revision`."""

    key: str
    value: bytes | None
    revision: int


class Transition(NamedTuple):
    """What transaction `revision` made of one key; None: it was not there, it is gone."""

    key: str
    before: Stored | None
    after: Stored | None
    revision: int


class Storage(Protocol):
    """A transactional, watchable map. All methods raise StorageUnavailable when the store is away."""

    async def revision(self) -> int:
        """The store's revision at some moment during this call (linearizable)."""

    async def get(self, key: str) -> Stored | None:
        """What the key holds now."""

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        """Keys that start with `prefix`, greater than `after`, at most `limit` (0: all), as of `revision` (0: now).

        Raises Compacted when that revision is history no longer.
        """

    async def commit(
        self, expect: Mapping[str, int], put: Mapping[str, bytes], delete: Sequence[str] = (), ttl: int = 0
    ) -> int:
        """Write all or nothing; the new revision. This one verb is every change:

            create    expect {key: 0}          put {key: value}
            replace   expect {key: revision}   put {key: value}
            delete    expect {key: revision}   delete [key]
            together  expect {service: 0, range: r}  put {service: ..., range: ...}

        `expect` maps keys to the revision that must have written them last; 0 means absent. `ttl`: seconds after which
        what was put vanishes (rounded up to a minute more). Raises Mismatch, TooLarge.
        """

    def watch(self, prefix: str, revision: int) -> AsyncGenerator[Sequence[Change], None]:
        """Every change from `revision` on (that one included), in order, in batches that never split a transaction.

        The iterator raises Compacted when history from there is gone, StorageUnavailable when the stream breaks.
        Close it with `aclose()`.
        """

    def replay(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Transition], None]:
        """As `watch` from `after` + 1 on, with what each key held before.

        Dearer than a watch: for those who have not followed from the beginning. Raises Compacted when the state at
        `after`, or one that is needed as a "before", is gone.
        """

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`; values stay. Compacting twice is not an error."""

    async def close(self) -> None:
        """End watches and connections."""
