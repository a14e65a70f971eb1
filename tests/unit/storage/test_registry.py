"""The registry when its cache is behind the store: nothing is lost and no refusal is wrong."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from labkit.api.errors import ApiError, Conflict, NotFound
from labkit.api.kinds import KINDS
from labkit.api.strategies import strategy_of
from labkit.api.types import Container, DeleteOptions, Event, ObjectMeta, ObjectReference, Pod, PodSpec, Preconditions
from labkit.storage import deletion
from labkit.storage.cache import Cache
from labkit.storage.entry import Codec
from labkit.storage.memory import Memory
from labkit.storage.protocol import StorageUnavailable
from labkit.storage.registry import Intent, Registry
from labkit.testing.eventually import eventually
from labkit.trace import Tracer

P = Intent("default", "p")


class Lagging:
    """A registry whose cache takes in changes only when told to."""

    def __init__(self, storage: Memory, log: io.StringIO, resource: str = "pods", ttl: int = 0) -> None:
        trace = Tracer("t", log)
        self.cache = Cache(storage, [Codec(kind) for kind in KINDS.values()], trace)
        kind = KINDS[resource]
        self.registry = Registry(kind, strategy_of(kind), storage, self.cache, trace, ttl=ttl)

    async def catch_up(self) -> None:
        await self.cache.load()


@pytest.fixture
async def storage() -> AsyncIterator[Memory]:
    memory = Memory()
    yield memory
    await memory.close()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def behind(storage: Memory, log: io.StringIO) -> Lagging:
    lagging = Lagging(storage, log)
    await lagging.registry.create(pod(), P)
    await lagging.catch_up()
    return lagging


def pod() -> Pod:
    return Pod(metadata=ObjectMeta(name="p"), spec=PodSpec(containers=[Container(name="c", image="i")]))


def labelled(value: str) -> Any:
    def change(old: Pod) -> Pod:
        old.metadata.labels = {"l": value}
        return old

    return change


async def stored(storage: Memory) -> dict[str, Any]:
    found = await storage.get("/registry/pods/default/p")
    assert found is not None
    document: dict[str, Any] = json.loads(found.value)
    return document


async def test_back_to_what_the_cache_still_holds_is_a_change(behind: Lagging, storage: Memory) -> None:
    await behind.registry.update(P, labelled("a"))
    await behind.catch_up()
    await behind.registry.update(P, labelled("b"))
    await behind.registry.update(P, labelled("a"))  # the cache knows nothing of b
    assert (await stored(storage))["metadata"]["labels"] == {"l": "a"}


async def test_a_refusal_that_rests_on_a_gone_object_is_not_believed(behind: Lagging, storage: Memory) -> None:
    def bind(old: Pod) -> Pod:
        if old.spec.node_name:
            raise Conflict("it has a node")
        old.spec.node_name = "n1"
        return old

    await behind.registry.update(P, bind)
    await behind.catch_up()
    await deletion.delete(behind.registry, P, DeleteOptions())
    await behind.registry.create(pod(), P)  # another pod of that name, without a node
    await behind.registry.update(P, bind)
    assert (await stored(storage))["spec"]["nodeName"] == "n1"
    with pytest.raises(Conflict, match="it has a node"):
        await behind.registry.update(P, bind)


async def test_what_is_gone_is_not_found(behind: Lagging, storage: Memory) -> None:
    await storage.commit({}, {}, ["/registry/pods/default/p"])
    with pytest.raises(NotFound):
        await behind.registry.update(P, labelled("a"))
    with pytest.raises(NotFound):
        await deletion.delete(behind.registry, P, DeleteOptions())


async def test_what_the_cache_does_not_know_yet_can_be_changed(storage: Memory, log: io.StringIO) -> None:
    empty = Lagging(storage, log)
    await empty.catch_up()
    await empty.registry.create(pod(), P)
    await empty.registry.update(P, labelled("a"))
    assert (await stored(storage))["metadata"]["labels"] == {"l": "a"}


async def test_preconditions_look_at_what_is_there(storage: Memory, log: io.StringIO) -> None:
    lagging = Lagging(storage, log)
    await lagging.cache.load()
    task = asyncio.create_task(lagging.cache.run())
    first = await lagging.registry.create(pod(), P)
    await lagging.cache.current()
    await deletion.delete(lagging.registry, P, DeleteOptions())
    second = (await lagging.registry.create(pod(), P)).decode()
    options = DeleteOptions(preconditions=Preconditions(uid=first.decode().metadata.uid))
    with pytest.raises(Conflict, match="Precondition failed: UID"):
        await deletion.delete(lagging.registry, P, options)
    options = DeleteOptions(preconditions=Preconditions(uid=second.metadata.uid))
    assert (await deletion.delete(lagging.registry, P, options)).removed
    task.cancel()
    await asyncio.wait([task])


async def test_an_unchanged_object_is_not_written(behind: Lagging, storage: Memory) -> None:
    before = await storage.revision()
    await behind.registry.update(P, lambda old: old)
    assert await storage.revision() == before


async def test_events_live_for_a_while(storage: Memory, log: io.StringIO) -> None:
    events = Lagging(storage, log, "events", ttl=1)
    await events.catch_up()
    event = Event(metadata=ObjectMeta(name="e"), involved_object=ObjectReference(kind="Pod", namespace="default"))
    await events.registry.create(event, Intent("default", "e"))
    assert await storage.get("/registry/events/default/e") is not None

    async def gone() -> bool:
        return await storage.get("/registry/events/default/e") is None

    await eventually(gone, 5, expect="the event's end")


async def test_an_absent_store_is_no_bug(behind: Lagging, storage: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*arguments: Any) -> Any:
        raise StorageUnavailable("away")

    monkeypatch.setattr(storage, "commit", away)
    with pytest.raises(StorageUnavailable):
        await behind.registry.create(pod(), P)
    with pytest.raises(StorageUnavailable):
        await behind.registry.update(P, labelled("a"))
    assert not issubclass(StorageUnavailable, ApiError)
