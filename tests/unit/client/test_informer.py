"""The store follows the server through everything that servers do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from labkit.api.types import Pod
from labkit.client import informer as informer_module
from labkit.client.informer import Informer
from labkit.client.own_writes import OwnWrites
from labkit.testing.eventually import eventually
from tests.unit.client.server import frame, pod, pod_list, serving, status

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


def lists(version: int, *pods: dict[str, object]) -> Step:
    async def step(request: web.Request) -> web.StreamResponse:
        assert "watch" not in request.query
        return pod_list(version, *pods)

    return step


def watches(since: int, *frames: bytes, stay: bool = False) -> Step:
    async def step(request: web.Request) -> web.StreamResponse:
        assert request.query["resourceVersion"] == str(since)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"".join(frames))
        if stay:
            await asyncio.sleep(30)
        return response

    return step


async def goes(request: web.Request) -> web.StreamResponse:
    return status(410, "Gone", "too old resource version")


async def breaks(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def refuses(request: web.Request) -> web.StreamResponse:
    return status(503, "ServiceUnavailable", "starting")


@asynccontextmanager
async def following(*steps: Step) -> AsyncIterator[tuple[Informer[Pod], list[str]]]:
    """An informer against a server that answers with `steps`, one after the other; and what the informer told."""
    left = list(steps)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if left else watches(int(request.query.get("resourceVersion", 0)), stay=True))(
            request
        )

    told: list[str] = []

    def tell(old: Pod | None, new: Pod | None) -> None:
        word = "+" if old is None else "-" if new is None else "~"
        changed = new or old
        assert changed is not None
        told.append(word + changed.metadata.name)

    async with serving(answer) as client:
        informer = Informer(client, Pod)
        informer.on_change(tell)
        task = asyncio.create_task(informer.run())
        try:
            yield informer, told
            assert not task.done() or task.exception() is None
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer_module, "delay", lambda failures: 0.01 * failures)


async def test_list_then_watch() -> None:
    changes = frame("ADDED", pod("c", 6)) + frame("MODIFIED", pod("a", 7)) + frame("DELETED", pod("b", 8))
    async with following(lists(5, pod("a", 1), pod("b", 2)), watches(5, changes, stay=True)) as (informer, told):
        await informer.synced()
        await eventually(lambda: informer.resource_version == "8")
        assert sorted(informer.store) == ["default/a", "default/c"]
        assert informer.store["default/a"].metadata.resource_version == "7"
        assert told == ["+a", "+b", "+c", "~a", "-b"]
        assert informer.has_seen("8")
        assert not informer.has_seen("9")


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    async with following(
        lists(5, pod("a", 1)),
        watches(5, frame("ADDED", pod("b", 6))),
        breaks,
        refuses,
        watches(6, frame("ADDED", pod("c", 7)), stay=True),
    ) as (informer, told):
        await eventually(lambda: "default/c" in informer.store)
        assert told == ["+a", "+b", "+c"]


async def test_after_gone_the_store_is_the_new_list_and_each_difference_is_told() -> None:
    async with following(
        lists(5, pod("a", 1), pod("b", 2), pod("same", 3), pod("again", 4, uid="first")),
        goes,
        lists(20, pod("a", 15), pod("c", 16), pod("same", 3), pod("again", 17, uid="second")),
        watches(20, stay=True),
    ) as (informer, told):
        await eventually(lambda: informer.resource_version == "20")
        assert sorted(informer.store) == ["default/a", "default/again", "default/c", "default/same"]
        assert told[4:] == ["~a", "-b", "-again", "+again", "+c"]


async def test_the_store_keeps_its_content_while_the_server_is_away() -> None:
    async with following(lists(5, pod("a", 1)), goes, refuses, refuses, refuses, lists(9, pod("b", 8))) as (
        informer,
        told,
    ):
        await eventually(lambda: informer.resource_version == "9")
        assert told == ["+a", "-a", "+b"]


async def test_a_bookmark_only_moves_the_revision() -> None:
    async with following(lists(5), watches(5, frame("BOOKMARK", pod("", 50))), watches(50, stay=True)) as (
        informer,
        told,
    ):
        await eventually(lambda: informer.resource_version == "50")
        assert (informer.store, told) == ({}, [])


async def test_a_server_that_ends_every_watch_at_once_is_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(informer_module, "delay", lambda failures: waited.append(failures) or 0.0)
    async with following(lists(5), *[watches(5)] * 8, watches(5, stay=True)):
        await eventually(lambda: len(waited) == 8)
    assert waited == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_own_writes_are_newer_than_the_store_until_it_catches_up() -> None:
    caught_up = asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        await caught_up.wait()
        return await watches(5, frame("MODIFIED", pod("a", 9)), stay=True)(request)

    async with following(lists(5, pod("a", 1)), late) as (informer, _):
        await informer.synced()
        own = OwnWrites(informer)
        mine = informer.store["default/a"].__class__(metadata=informer.store["default/a"].metadata)
        newest = own.newest("default/a")
        assert newest is not None
        assert newest.metadata.resource_version == "1"
        mine.metadata = type(mine.metadata)(name="a", namespace="default", uid="uid-a", resource_version="8")
        own.wrote(mine)
        assert own.newest("default/a") is mine
        caught_up.set()
        await eventually(lambda: own.newest("default/a") is informer.store["default/a"])
