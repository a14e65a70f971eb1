"""Etcd: the Storage on a real etcd, v3 protocol.

etcd3's own generated messages and stubs on a channel of ours (grpc_channel.py: a third of grpc.aio's processor time):

    commit -> KV.Txn   compare mod_revision == expected ... then put / delete ... else read what is there
    get, list -> KV.Range      watch -> Watch.Watch, one stream per call      ttl -> Lease.Grant, shared for a while

The revision of a write is the transaction's header.revision: no second read. Source: etcd's rpc.proto.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import grpc

from labkit import trace
from labkit.storage import etcd3_import  # noqa: F401  (must come before etcd3)
from labkit.storage.grpc_channel import CallError, Channel
from labkit.storage.protocol import (
    Change,
    Compacted,
    Mismatch,
    Page,
    StorageError,
    StorageFull,
    StorageUnavailable,
    Stored,
    TooLarge,
    Transition,
)

import etcd3.etcdrpc as rpc  # isort: skip

TIMEOUT = 5.0  # seconds for one call
PAGE = 500  # keys per Range request when a whole prefix is read


class Tls(NamedTuple):
    """PEM files: etcd's CA, and the client certificate and key that etcd knows this server by."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Raises OSError (ssl.SSLError among them) for files that cannot be used."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context


class _Lease(NamedTuple):
    id: int
    usable_until: float


class Etcd:
    """A Storage on etcd. `servers`: `host:port`, several separated by commas. To be made inside the event loop."""

    def __init__(self, servers: str, tls: Tls | None = None) -> None:
        self._channel = Channel(servers.split(","), tls.context() if tls else None)
        self._kv = rpc.KVStub(self._channel)
        self._watcher = rpc.WatchStub(self._channel)
        self._leaser = rpc.LeaseStub(self._channel)
        self._leases: dict[int, _Lease] = {}
        self._lease_lock = asyncio.Lock()

    async def revision(self) -> int:
        request = rpc.RangeRequest(key=b"/registry/", count_only=True)
        return int((await _call(self._kv.Range(request, timeout=TIMEOUT))).header.revision)

    async def get(self, key: str) -> Stored | None:
        answer = await _call(self._kv.Range(rpc.RangeRequest(key=key.encode()), timeout=TIMEOUT))
        return _stored(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        items: list[Stored] = []
        while True:
            size = min(PAGE, limit - len(items)) if limit else PAGE
            page = await self._range(prefix, size, items[-1].key if items else after, revision)
            items += page.items
            # Later pages are read at the first page's revision, so that together they are one moment.
            revision = revision or page.revision
            if not page.more or (limit and len(items) >= limit):
                return Page(items, revision, page.more)

    async def _range(self, prefix: str, limit: int, after: str, revision: int) -> Page:
        start = after.encode() + b"\0" if after > prefix else prefix.encode()
        request = rpc.RangeRequest(key=start, range_end=_end_of(prefix), limit=limit, revision=revision)
        answer = await _call(self._kv.Range(request, timeout=TIMEOUT))
        return Page([_stored(kv) for kv in answer.kvs], answer.header.revision, answer.count - len(answer.kvs))

    async def commit(
        self, expect: Mapping[str, int], put: Mapping[str, bytes], delete: Sequence[str] = (), ttl: int = 0
    ) -> int:
        lease = await self._lease(ttl) if ttl else 0
        trace.step(_transaction)
        answer = await _call(self._kv.Txn(_transaction(expect, put, delete, lease), timeout=TIMEOUT))
        if answer.succeeded:
            return int(answer.header.revision)
        ranges = (response.response_range.kvs for response in answer.responses)
        raise Mismatch({key: _stored(kvs[0]) if kvs else None for key, kvs in zip(expect, ranges, strict=True)})

    async def _lease(self, ttl: int) -> int:
        """A lease of at least `ttl` seconds. One lease serves all writes of a while: a grant costs a disk write."""
        async with self._lease_lock:
            lease, now = self._leases.get(ttl), time.monotonic()
            if lease is None or now >= lease.usable_until:
                spare = ttl // 60
                answer = await _call(self._leaser.LeaseGrant(rpc.LeaseGrantRequest(TTL=ttl + spare), timeout=TIMEOUT))
                lease = self._leases[ttl] = _Lease(answer.ID, now + spare)
            return lease.id

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Sequence[Change], None]:
        create = rpc.WatchCreateRequest(key=prefix.encode(), range_end=_end_of(prefix), start_revision=revision)
        async with contextlib.aclosing(self._events(create)) as batches:
            async for events in batches:
                yield [_change(event) for event in events]

    async def replay(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Transition], None]:
        # From `after` itself on, not from the next: so etcd says when just that revision's state is compacted. The
        # deletions of the compacted revision are gone, and a watch from there would miss them without a word.
        create = rpc.WatchCreateRequest(
            key=prefix.encode(), range_end=_end_of(prefix), start_revision=after, prev_kv=True
        )
        async with contextlib.aclosing(self._events(create)) as batches:
            async for events in batches:
                steps = [_transition(event) for event in events if event.kv.mod_revision > after]
                if steps:
                    yield steps

    async def _events(self, create: Any) -> AsyncGenerator[Sequence[Any], None]:
        """The events of one watch as etcd sends them, one batch after the other."""
        answers = self._watcher.Watch(rpc.WatchRequest(create_request=create))
        try:
            async with contextlib.aclosing(answers):
                async for some in answers:
                    for answer in some:
                        if answer.compact_revision:
                            raise Compacted(answer.compact_revision)
                        if answer.canceled:
                            raise StorageError(
                                f"etcd ended a watch of {create.key!r}: is the client allowed to read it?"
                            )
                    if events := _joined(some):
                        yield events
        except CallError as error:
            raise _translated(error.code, error.details) from error

    async def compact(self, revision: int) -> None:
        try:
            await _call(self._kv.Compact(rpc.CompactionRequest(revision=revision), timeout=TIMEOUT))
        except Compacted:
            pass  # another server was faster

    async def close(self) -> None:
        await self._channel.close()


def _joined(answers: Sequence[Any]) -> Sequence[Any]:
    """The events of several answers, in order. etcd answers once for each transaction."""
    if len(answers) == 1:
        return cast("Sequence[Any]", answers[0].events)
    return [event for answer in answers for event in answer.events]


def _end_of(prefix: str) -> bytes:
    """The first key after all keys that start with `prefix` ("/registry/" -> "/registry0")."""
    return prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1])


def _stored(kv: Any) -> Stored:
    return Stored(kv.key.decode(), kv.value, kv.mod_revision)


def _change(event: Any) -> Change:
    deleted = event.type == 1
    return Change(event.kv.key.decode(), None if deleted else event.kv.value, event.kv.mod_revision)


def _transition(event: Any) -> Transition:
    """Raises Compacted when what was there before is needed and gone."""
    kv, deleted = event.kv, event.type == 1
    before = _stored(event.prev_kv) if event.HasField("prev_kv") else None
    if before is None and (deleted or kv.create_revision != kv.mod_revision):
        raise Compacted(kv.mod_revision)
    return Transition(kv.key.decode(), before, None if deleted else _stored(kv), kv.mod_revision)


def _transaction(expect: Mapping[str, int], put: Mapping[str, bytes], delete: Sequence[str], lease: int) -> Any:
    wish = rpc.TxnRequest()  # filled in place: a message that is made first and then put in is copied
    for key, revision in expect.items():
        name = key.encode()
        wish.compare.add(result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=name, mod_revision=revision)
        wish.failure.add().request_range.key = name
    for key, value in put.items():
        write = wish.success.add().request_put
        write.key, write.value, write.lease = key.encode(), value, lease
    for key in delete:
        wish.success.add().request_delete_range.key = key.encode()
    return wish


async def _call(call: Awaitable[Any]) -> Any:
    """Await a call; gRPC's errors become the seam's."""
    try:
        return await call
    except CallError as error:
        raise _translated(error.code, error.details) from error


def _translated(code: grpc.StatusCode, details: str) -> StorageError:
    if code == grpc.StatusCode.OUT_OF_RANGE and "compacted" in details:
        return Compacted()
    if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED) and "larg" in details:
        return TooLarge(details)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "space exceeded" in details:
        return StorageFull(
            f"etcd has used up its space ({details}): make room with etcdctl compact, etcdctl defrag and "
            "etcdctl alarm disarm"
        )
    if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
        return StorageError(f"etcd refuses this client certificate: {details}")
    return StorageUnavailable(f"etcd: {details or code.name}")
