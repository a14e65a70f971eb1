"""Events are told without waiting, counted when they repeat, and survive a server that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from labkit.api.types import Event, Node, ObjectMeta, Pod
from labkit.client import events as events_module
from labkit.client.events import EventRecorder
from labkit.testing.eventually import eventually
from tests.unit.client.server import serving, status

POD = Pod(metadata=ObjectMeta(name="web", namespace="prod", uid="u1", resource_version="5"))


class Store:
    """The events of an API server."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.away = 0

    async def answer(self, request: web.Request) -> web.Response:
        if self.away:
            self.away -= 1
            return status(503, "ServiceUnavailable", "starting")
        event = msgspec.json.decode(await request.read(), type=Event)
        if request.method == "PUT" and event.metadata.name not in self.events:
            return status(404, "NotFound", "event not found")
        assert request.path.startswith(f"/api/v1/namespaces/{event.metadata.namespace}/events")
        self.events[event.metadata.name] = event
        return web.Response(body=msgspec.json.encode(event), content_type="application/json")


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[EventRecorder, Store]]:
    store = Store()
    async with serving(store.answer) as client:
        recorder = EventRecorder(client, "kubelet", "agent1")
        task = asyncio.create_task(recorder.run())
        try:
            yield recorder, store
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "delay", lambda failures: 0.001)


async def test_an_event_says_about_whom_by_whom_and_when() -> None:
    async with recording() as (recorder, store):
        recorder.event(POD, "started", "Started with docker id 42", field_path="spec.containers{c}")
        await eventually(lambda: store.events)
    (event,) = store.events.values()
    assert event.metadata.name.startswith("web.")
    assert event.metadata.namespace == "prod"
    ref = event.involved_object
    assert (ref.kind, ref.namespace, ref.name, ref.uid) == ("Pod", "prod", "web", "u1")
    assert (ref.api_version, ref.resource_version, ref.field_path) == ("v1", "5", "spec.containers{c}")
    assert (event.source.component, event.source.host) == ("kubelet", "agent1")
    assert (event.reason, event.message, event.count) == ("started", "Started with docker id 42", 1)
    assert event.first_timestamp == event.last_timestamp
    assert event.first_timestamp is not None
    assert event.first_timestamp.endswith("Z")


async def test_the_same_again_is_counted() -> None:
    async with recording() as (recorder, store):
        for _ in range(3):
            recorder.event(POD, "failedScheduling", "no nodes")
        recorder.event(POD, "failedScheduling", "another reason")
        await eventually(lambda: sorted(e.count or 0 for e in store.events.values()) == [1, 3])


async def test_an_expired_event_starts_again_at_one() -> None:
    async with recording() as (recorder, store):
        recorder.event(POD, "r", "m")
        await eventually(lambda: store.events)
        store.events.clear()
        recorder.event(POD, "r", "m")
        await eventually(lambda: [e.count for e in store.events.values()] == [1])


async def test_what_has_no_namespace_tells_in_default() -> None:
    async with recording() as (recorder, store):
        recorder.event(Node(metadata=ObjectMeta(name="agent1")), "NodeReady", "ready")
        await eventually(lambda: [e.metadata.namespace for e in store.events.values()] == ["default"])


async def test_a_server_that_is_away_is_waited_for() -> None:
    async with recording() as (recorder, store):
        store.away = 3
        recorder.event(POD, "r", "m")
        await eventually(lambda: store.events)


@pytest.mark.cis("4.2.8")
async def test_a_thousand_at_once_all_arrive() -> None:
    async with recording() as (recorder, store):
        for number in range(1000):
            recorder.event(POD, "r", str(number))
        await eventually(lambda: len(store.events) == 1000, within=20)


async def test_too_many_events_are_dropped_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    async with serving(store.answer) as client:
        recorder = EventRecorder(client, "kubelet")
        for number in range(events_module.QUEUED + 1):
            recorder.event(POD, "r", str(number))
    assert "event dropped, too many wait" in capsys.readouterr().out
