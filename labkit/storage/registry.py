"""One registry for every kind: what POST, GET, PUT, PATCH and DELETE do to objects.

    create   name it, date it, default, validate            commit expects: absent
    update   read, change, validate                         commit expects: the revision that was read
    delete   preconditions, grace period                    commit expects: the revision that was read

Races are settled by the store's transaction alone. A change begins with what the cache holds, without asking whether
that is current: when it was not, the transaction fails, shows what is there, and the change is tried on that. A refusal
is only believed when the store agrees with the cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from labkit.api.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
    RequestEntityTooLarge,
    ServerTimeout,
)
from labkit.api.finalizers import last_taken
from labkit.api.kinds import Kind
from labkit.api.ownership.managers import Owner, note
from labkit.api.strategies import Strategy
from labkit.api.types import Object, copy
from labkit.storage.cache import Cache
from labkit.storage.entry import Entry
from labkit.storage.protocol import Mismatch, Storage, TooLarge
from labkit.trace import Tracer

ATTEMPTS = 16
_SUFFIX = string.ascii_lowercase + string.digits
MODIFIED_MEANWHILE = "the object has been modified; please apply your changes to the latest version and try again"


class Writes(NamedTuple):
    """Other keys that change in the transaction of an object: what they must be, and what they become."""

    expect: Mapping[str, int] = {}
    put: Mapping[str, bytes] = {}


class Companion(Protocol):
    """Plans the writes that go along with an object's change (a Service's addresses). May fill in `new`.

    `turn` is held from the plan to the end of its transaction: within one server nobody plans in vain.
    """

    turn: asyncio.Lock

    async def plan(self, old: Any | None, new: Any | None) -> Writes: ...


class Intent(NamedTuple):
    """Which object is to be changed, and what the trace tells of it: the decision and who asked (`cause`)."""

    namespace: str
    name: str
    dry_run: bool = False
    cause: str = ""
    decision: str = "updated"
    function: Callable[..., Any] | None = None  # what decided, where it is not the registry
    owner: Owner | None = None  # whose the changed fields are, where the object says who set them


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def timestamp(when: datetime.datetime) -> str:
    """RFC 3339 to the second, as every time of the API is written."""
    return _written(int(when.timestamp()))


@lru_cache(maxsize=64)  # strftime costs 7 us, and of a thousand objects a second all have the same time
def _written(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid() -> str:
    """A random UUID (RFC 9562, version 4); uuid.uuid4 makes an object first and takes twice the time."""
    digits = os.urandom(16).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )


def generated_name(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_SUFFIX) for _ in range(5))


def self_link(kind: Kind, namespace: str, name: str) -> str:
    scope = f"/namespaces/{namespace}" if kind.namespaced else ""
    return f"{kind.root}{scope}/{kind.resource}/{name}"


class Registry:
    """All objects of one kind. `ttl`: seconds that they live (events), 0 for ever."""

    def __init__(
        self, kind: Kind, strategy: Strategy[Any], storage: Storage, cache: Cache, trace: Tracer,
        companion: Companion | None = None, ttl: int = 0,
    ) -> None:  # fmt: skip
        self.kind = kind
        self.strategy = strategy
        self.shelf = cache.shelf(kind.storage_prefix)
        self.cache = cache
        self._storage = storage
        self._trace = trace
        self._companion = companion
        self._ttl = ttl

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(self, namespace: str, name: str, *, current: bool = True) -> Entry:
        """The object; `current`: nothing older than this call will do. Raises NotFound."""
        if current:
            await self.cache.current()
        entry = self.shelf.entries.get(self._path(namespace, name))
        if entry is None:
            raise NotFound.of(self.kind.error_name, name)
        return entry

    def _path(self, namespace: str, name: str) -> str:
        return f"{namespace}/{name}" if self.kind.namespaced else name

    # -- creating ------------------------------------------------------------------------------------------------

    async def create(self, obj: Any, intent: Intent, relies_on: Mapping[str, int] = {}) -> Entry:
        """Store a new object in the intent's namespace. Raises Invalid, AlreadyExists, BadRequest.

        `relies_on`: other keys and the revisions that they must have then; Mismatch when one has not.
        """
        check_namespace(obj, intent.namespace)
        if obj.metadata.resource_version:
            raise BadRequest("resourceVersion may not be set on objects to be created")
        prefix = "" if obj.metadata.name else obj.metadata.generate_name
        self._begin(obj, intent.namespace)
        for _ in range(ATTEMPTS):
            if prefix:
                obj.metadata.name = generated_name(prefix)
            try:
                return await self._create_once(obj, intent, relies_on)
            except AlreadyExists:
                if not prefix:
                    raise
        raise ServerTimeout(f"no free name with prefix {prefix!r} was found, try again")

    def _begin(self, obj: Object, namespace: str) -> None:
        """What the server says of a new object, whatever the client said."""
        self.strategy.defaults(obj)
        self.strategy.prepare_for_create(obj)
        meta = obj.metadata
        meta.namespace = namespace if self.kind.namespaced else ""
        meta.uid = new_uid()
        meta.creation_timestamp = timestamp(now())
        meta.deletion_timestamp = meta.deletion_grace_period_seconds = None

    async def _create_once(self, obj: Any, intent: Intent, relies_on: Mapping[str, int]) -> Entry:
        meta = obj.metadata
        meta.self_link = self_link(self.kind, meta.namespace, meta.name)
        faults = self.strategy.validate(obj)
        if faults:
            raise Invalid.of(self.strategy.invalid_name, meta.name, faults)
        path = self._path(meta.namespace, meta.name)
        for _ in range(ATTEMPTS):
            # What a companion handed out, and the transaction then did not get, must not look like the client's wish.
            new = copy(obj) if self._companion else obj
            try:
                return await self._write(None, new, path, intent._replace(decision="created"), self.create, relies_on)
            except Mismatch as error:
                if error.current[f"{self.shelf.prefix}{path}"] is not None:
                    raise AlreadyExists.of(self.kind.error_name, meta.name) from None
                if any(error.is_not(key, revision) for key, revision in relies_on.items()):
                    raise
        raise ServerTimeout(f"{self.kind.error_name} {meta.name!r} could not be created, try again")

    # -- changing ------------------------------------------------------------------------------------------------

    async def update(self, intent: Intent, change: Callable[[Any], Any]) -> Entry:
        """Read, change, write. `change(old) -> new` may be called again, on what another writer left.

        A new object that carries a resourceVersion is only written over that revision (else Conflict); without one it
        is written over whatever is there. Raises NotFound and whatever `change` raises.
        """
        entry = await self.found(intent)
        for _ in range(ATTEMPTS):
            refusal = None
            try:
                new = self._changed(entry, intent, change)
                if new.metadata.deletion_timestamp and last_taken(entry.seen(), new):
                    return await self._end(entry, new, intent)
                written = await self._write(entry, new, entry.path, intent, self.update)
                if written is not entry:
                    return written
            except Mismatch as error:
                entry = self.left_by_another(entry, error)
                continue
            except ApiError as error:
                refusal = error
            # Refused, or nothing to change: true only if the cache was not behind the store.
            there = await self.stored(entry.path)
            if there.revision == entry.revision:
                if refusal is not None:
                    raise refusal
                return entry
            entry = there
        raise ServerTimeout(f"{self.kind.error_name} {intent.name!r} is being changed too often, try again")

    async def _end(self, entry: Entry, new: Any, intent: Intent) -> Entry:
        """Nothing holds the object any more: it is removed, and answered as it was wanted. Raises Mismatch."""
        await self.remove(entry, intent)
        return self.shelf.codec.entry(entry.path, self.shelf.codec.value(new), entry.revision)

    def _changed(self, entry: Entry, intent: Intent, change: Callable[[Any], Any]) -> Any:
        new = change(entry.decode())
        if intent.owner is not None and new.metadata.managed_fields:
            note(entry.seen(), new, intent.owner, timestamp(now()))
        asked = new.metadata.resource_version
        if asked and asked != str(entry.revision):
            raise Conflict.of(self.kind.error_name, new.metadata.name, MODIFIED_MEANWHILE)
        return new

    async def found(self, intent: Intent) -> Entry:
        """The cache's entry, or the store's when the cache has none (yet). Raises NotFound."""
        path = self._path(intent.namespace, intent.name)
        return self.shelf.entries.get(path) or await self.stored(path)

    async def stored(self, path: str) -> Entry:
        """What the store has, whatever the cache says. Raises NotFound."""
        stored = await self._storage.get(f"{self.shelf.prefix}{path}")
        if stored is None:
            raise NotFound.of(self.kind.error_name, path.rpartition("/")[2])
        return self.shelf.codec.entry(path, stored.value, stored.revision)

    def left_by_another(self, entry: Entry, error: Mismatch) -> Entry:
        """What is there in place of the entry that a transaction expected. Raises NotFound."""
        stored = error.current[f"{self.shelf.prefix}{entry.path}"]
        if stored is None:
            raise NotFound.of(self.kind.error_name, entry.path.rpartition("/")[2])
        return self.shelf.codec.entry(entry.path, stored.value, stored.revision)

    # -- writing -------------------------------------------------------------------------------------------------

    async def _write(
        self, old: Entry | None, new: Any, path: str, intent: Intent, function: Callable[..., Any],
        relies_on: Mapping[str, int] = {},
    ) -> Entry:  # fmt: skip
        """One transaction: the object and what goes along with it; `old` if it says the same. Raises Mismatch."""
        if self._companion is None:
            return await self._write_in_turn(old, new, path, intent, function, relies_on)
        async with self._companion.turn:
            return await self._write_in_turn(old, new, path, intent, function, relies_on)

    async def _write_in_turn(
        self, old: Entry | None, new: Any, path: str, intent: Intent, function: Callable[..., Any],
        relies_on: Mapping[str, int],
    ) -> Entry:  # fmt: skip
        along = await self._companion.plan(old.decode() if old else None, new) if self._companion else Writes()
        value, revision = self.shelf.codec.value(new), old.revision if old else 0
        if intent.dry_run:
            return await self._unwritten(old, path, value)
        if old is not None and self.shelf.codec.entry(path, value, revision).data == old.data:
            return old
        key = f"{self.shelf.prefix}{path}"
        written = await self._commit({key: revision, **along.expect, **relies_on}, {key: value, **along.put})
        new.metadata.resource_version = str(written)
        self._trace.decision(intent.decision, new, cause=intent.cause, function=intent.function or function)
        return self.shelf.codec.entry(path, value, written)

    async def _unwritten(self, old: Entry | None, path: str, value: bytes) -> Entry:
        """What a dry run answers. Raises AlreadyExists, as the transaction would."""
        if old is not None:
            return self.shelf.codec.entry(path, value, old.revision)
        if await self._storage.get(f"{self.shelf.prefix}{path}") is not None:
            raise AlreadyExists.of(self.kind.error_name, path.rpartition("/")[2])
        return self.shelf.codec.unwritten(path, value)

    async def remove(self, old: Entry, intent: Intent) -> None:
        """Delete what `old` is, and free what went along with it. Raises Mismatch."""
        if intent.dry_run:
            return
        obj, key = old.decode(), f"{self.shelf.prefix}{old.path}"
        async with self._companion.turn if self._companion else contextlib.nullcontext():
            along = await self._companion.plan(obj, None) if self._companion else Writes()
            written = await self._commit({key: old.revision, **along.expect}, along.put, [key])
        obj.metadata.resource_version = str(written)
        self._trace.decision("deleted", obj, cause=intent.cause, function=self.remove)

    async def _commit(self, expect: Mapping[str, int], put: Mapping[str, bytes], delete: Sequence[str] = ()) -> int:
        try:
            return await self._storage.commit(expect, put, delete, self._ttl)
        except TooLarge as error:
            raise RequestEntityTooLarge(f"the object is too large to be stored: {error}") from error


def check_namespace(obj: Object, namespace: str) -> None:
    """What was sent is for the URL's namespace; raises BadRequest."""
    if obj.metadata.namespace not in ("", namespace):
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
