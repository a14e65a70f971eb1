"""The watch cache on Memory: current when asked to be, and level with the store whatever happens."""

import asyncio
import contextlib
import io
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest

from labkit.api.kinds import KINDS
from labkit.storage.cache import Cache, Shelf
from labkit.storage.entry import Codec
from labkit.storage.memory import Memory
from labkit.storage.protocol import Change, StorageUnavailable
from labkit.testing.eventually import eventually
from labkit.trace import Tracer


def value(name: str, **labels: str) -> bytes:
    return json.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}},
                      separators=(",", ":")).encode()  # fmt: skip


class Counting(Memory):
    """Counts the questions for its revision, and answers them slowly."""

    asked = 0
    away = False

    async def revision(self) -> int:
        self.asked += 1
        if self.away:
            raise StorageUnavailable("away")
        await asyncio.sleep(0.02)
        return await super().revision()


@pytest.fixture
async def storage() -> AsyncIterator[Counting]:
    memory = Counting()
    yield memory
    await memory.close()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def cache(storage: Counting, log: io.StringIO) -> AsyncIterator[Cache]:
    await storage.commit({}, {"/registry/pods/a/early": value("early")})
    cache = Cache(storage, [Codec(kind) for kind in KINDS.values()], Tracer("t", log))
    await cache.load()
    task = asyncio.create_task(cache.run())
    yield cache
    task.cancel()
    await asyncio.wait([task])


def pods(cache: Cache) -> Shelf:
    return cache.shelf("/registry/pods")


async def put(storage: Memory, path: str, body: bytes | None = None) -> int:
    return await storage.commit({}, {f"/registry/pods/{path}": body or value(path.partition("/")[2])})


async def test_what_is_there_at_the_start(cache: Cache) -> None:
    entry = pods(cache).entries["a/early"]
    assert json.loads(entry.data)["metadata"] == {"resourceVersion": "2", "name": "early", "labels": {}}


async def test_current_has_all_that_was_committed_before(cache: Cache, storage: Counting) -> None:
    for n in range(20):
        revision = await put(storage, f"a/p{n}")
        await cache.current()
        assert pods(cache).entries[f"a/p{n}"].revision == revision


async def test_readers_that_wait_together_ask_once(cache: Cache, storage: Counting) -> None:
    await asyncio.gather(*(cache.current() for _ in range(32)))
    assert storage.asked == 2  # the first asks at once, all others together
    first = asyncio.create_task(cache.current())
    await asyncio.sleep(0.01)  # its question is under way
    revision = await put(storage, "a/late")
    await asyncio.gather(*(cache.current() for _ in range(32)))
    assert storage.asked == 4  # one for the first, one for all who came too late for it
    assert pods(cache).entries["a/late"].revision == revision
    await first


async def test_a_reader_that_gives_up_holds_nobody_up(cache: Cache, storage: Counting) -> None:
    first = asyncio.create_task(cache.current())
    await asyncio.sleep(0.005)  # its question is under way
    second = asyncio.create_task(cache.current())
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(3):
        await second
    assert first.cancelled()
    assert storage.asked == 2


async def test_who_waited_behind_a_question_in_vain_is_told(cache: Cache, storage: Counting) -> None:
    async def late() -> int:
        await asyncio.sleep(0.01)
        raise StorageUnavailable("away")

    storage.revision = late  # type: ignore[method-assign]
    for result in await asyncio.gather(*(cache.current() for _ in range(3)), return_exceptions=True):
        assert isinstance(result, StorageUnavailable)


async def test_keys_of_others_do_not_hold_readers_up(cache: Cache, storage: Counting) -> None:
    await storage.commit({}, {"/foreign": b"x"})
    async with asyncio.timeout(3):
        await cache.current()


async def test_an_absent_store_is_told_to_all_who_ask(cache: Cache, storage: Counting) -> None:
    storage.away = True
    for result in await asyncio.gather(*(cache.current() for _ in range(4)), return_exceptions=True):
        assert isinstance(result, StorageUnavailable)
    storage.away = False
    await cache.current()


async def test_foreign_values_are_named_and_left_out(cache: Cache, storage: Counting, log: io.StringIO) -> None:
    await put(storage, "a/junk", b"junk")
    await put(storage, "a/wrong", b'{"metadata":{"name":7}}')
    await put(storage, "a/turned", b'{"spec":{},"metadata":{"name":"turned"},"kind":"Pod"}')
    await storage.commit({}, {"/registry/unknown/x": b"{}"})
    await cache.current()
    assert set(pods(cache).entries) == {"a/early", "a/turned"}
    assert json.loads(pods(cache).entries["a/turned"].data)["metadata"]["resourceVersion"] == "5"
    assert "/registry/pods/a/junk in the store is no Pod" in log.getvalue()


async def test_order_and_namespaces(cache: Cache, storage: Counting) -> None:
    for path in ("b/x", "a/y", "ab/z", "a/x"):
        await put(storage, path)
    await storage.commit({}, {}, ["/registry/pods/a/early"])
    await cache.current()
    assert [entry.path for entry in pods(cache).within("")] == ["a/x", "a/y", "ab/z", "b/x"]
    assert [entry.path for entry in pods(cache).within("a")] == ["a/x", "a/y"]


async def test_services_and_endpoints_share_a_root(cache: Cache, storage: Counting) -> None:
    await storage.commit({}, {"/registry/services/specs/a/s": b'{"metadata":{"name":"s","namespace":"a"}}'})
    await storage.commit({}, {"/registry/services/endpoints/a/s": b'{"metadata":{"name":"s","namespace":"a"}}'})
    await cache.current()
    assert list(cache.shelf("/registry/services/specs").entries) == ["a/s"]
    assert list(cache.shelf("/registry/services/endpoints").entries) == ["a/s"]


async def test_history_compacted_under_the_watch(storage: Counting, log: io.StringIO) -> None:
    cache = Cache(storage, [Codec(kind) for kind in KINDS.values()], Tracer("t", log))
    await cache.load()
    for n in range(5):
        await put(storage, f"a/p{n}")
    await storage.compact(await storage.revision())  # before the cache's watch began
    task = asyncio.create_task(cache.run())

    async def level() -> bool:
        return len(pods(cache).entries) == 5

    await eventually(level, 5, expect="all five pods")
    assert "compacted" in log.getvalue()
    task.cancel()
    await asyncio.wait([task])


class Lagging(Memory):
    """A store whose answers and whose watch take a while, each time another."""

    async def revision(self) -> int:
        await asyncio.sleep(random.uniform(0, 0.003))
        revision = await super().revision()
        await asyncio.sleep(random.uniform(0, 0.003))
        return revision

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Sequence[Change], None]:
        async with contextlib.aclosing(super().watch(prefix, revision)) as batches:
            async for batch in batches:
                await asyncio.sleep(random.uniform(0, 0.005))
                yield batch


async def test_no_stale_read_through_another_server() -> None:
    """32 readers share their questions; what any server has acknowledged before a read began, the read shows."""
    storage, acknowledged, reads = Lagging(), 0, 0
    caches = [Cache(storage, [Codec(KINDS["pods"])], Tracer("t")) for _ in range(2)]
    tasks = []
    for cache in caches:
        await cache.load()
        tasks.append(asyncio.create_task(cache.run()))

    async def write() -> None:
        nonlocal acknowledged
        for _ in range(150):
            acknowledged = await storage.commit({}, {"/registry/pods/ns/x": value("x")})
            await asyncio.sleep(random.uniform(0, 0.003))

    async def read(cache: Cache) -> None:
        nonlocal reads
        while not writing.done():
            before = acknowledged
            await cache.current()
            seen = pods(cache).entries.get("ns/x")
            assert before == 0 or (seen is not None and seen.revision >= before)
            reads += 1

    writing = asyncio.create_task(write())
    await asyncio.gather(writing, *(read(cache) for cache in caches for _ in range(16)))
    assert reads > 300
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await storage.close()


async def test_a_question_already_under_way_is_not_shared(log: io.StringIO) -> None:
    """It may have been answered before the write that the reader knows of."""

    class Gated(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.answers, self.events = asyncio.Semaphore(0), asyncio.Event()

        async def revision(self) -> int:
            revision = await super().revision()
            await self.answers.acquire()
            return revision

        async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Sequence[Change], None]:
            async with contextlib.aclosing(super().watch(prefix, revision)) as batches:
                async for batch in batches:
                    await self.events.wait()
                    yield batch

    storage = Gated()
    cache = Cache(storage, [Codec(KINDS["pods"])], Tracer("t", log))
    await cache.load()
    running = asyncio.create_task(cache.run())
    first = asyncio.create_task(cache.current())
    await asyncio.sleep(0.01)  # its question has been put
    await put(storage, "ns/x")
    second = asyncio.create_task(cache.current())
    storage.answers.release()
    await asyncio.wait_for(first, 1)
    assert not second.done()
    storage.events.set()
    storage.answers.release()
    await asyncio.wait_for(second, 1)
    assert "ns/x" in pods(cache).entries
    running.cancel()
    await asyncio.wait([running])
    await storage.close()
