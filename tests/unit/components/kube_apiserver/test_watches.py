"""Watches over HTTP: nothing lost, nothing twice, and a clear word when that cannot be kept."""

import asyncio
import json
from typing import Any

import pytest

from labkit.components.kube_apiserver import watching
from labkit.components.kube_apiserver.server import Server

from .conftest import PODS, Http, pod, service

MERGE = "application/merge-patch+json"


def seen(frames: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(type, obj["metadata"]["name"]) for type, obj in frames]


async def label(http: Http, name: str, **labels: str | None) -> Any:
    code, changed = await http("PATCH", f"{PODS}/{name}", {"metadata": {"labels": labels}}, Content_Type=MERGE)
    assert code == 200
    return changed


async def test_from_a_revision_on(http: Http) -> None:
    made = await http.made(PODS, pod())
    changed = await label(http, "p1", a="b")
    await http("DELETE", f"{PODS}/p1")
    frames = await http.frames(
        f"{PODS}?watch=true&timeoutSeconds=1&resourceVersion={made['metadata']['resourceVersion']}"
    )
    assert seen(frames) == [("MODIFIED", "p1"), ("DELETED", "p1")]
    assert frames[0][1] == changed
    deleted = frames[1][1]
    assert int(deleted["metadata"]["resourceVersion"]) > int(changed["metadata"]["resourceVersion"])
    assert deleted["metadata"]["labels"] == {"a": "b"}


@pytest.mark.parametrize("revision", ["", "&resourceVersion=0"])
async def test_without_a_revision_begins_with_what_is_there(http: Http, revision: str) -> None:
    await http.made(PODS, pod("p1"))
    await http.made("/api/v1/namespaces/other/pods", pod("p2"))
    assert seen(await http.frames(f"{PODS}?watch=1&timeoutSeconds=1{revision}")) == [("ADDED", "p1")]
    everywhere = await http.frames(f"/api/v1/watch/pods?timeoutSeconds=1{revision}")
    assert seen(everywhere) == [("ADDED", "p1"), ("ADDED", "p2")]
    single = await http.frames(f"/api/v1/watch/namespaces/default/pods/p1?timeoutSeconds=1{revision}")
    assert seen(single) == [("ADDED", "p1")]


async def test_an_object_enters_and_leaves_the_selection(http: Http) -> None:
    made = await http.made(PODS, pod())
    await label(http, "p1", app="x")
    inside = await label(http, "p1", app="x", other="1")
    await label(http, "p1", app="y")
    await label(http, "p1", app="z")
    start = made["metadata"]["resourceVersion"]
    frames = await http.frames(f"{PODS}?watch=1&timeoutSeconds=1&labelSelector=app%3Dx&resourceVersion={start}")
    assert seen(frames) == [("ADDED", "p1"), ("MODIFIED", "p1"), ("DELETED", "p1")]
    left = frames[2][1]
    assert left["metadata"]["labels"] == inside["metadata"]["labels"]
    assert int(left["metadata"]["resourceVersion"]) > int(inside["metadata"]["resourceVersion"])


async def test_a_kubelet_sees_only_its_pods(http: Http) -> None:
    made = await http.made(PODS, pod("p1"))
    await http.made(PODS, pod("p2"))
    await http("POST", f"{PODS}/p1/binding", {"target": {"name": "n1"}})
    await http("POST", f"{PODS}/p2/binding", {"target": {"name": "n2"}})
    start = made["metadata"]["resourceVersion"]
    query = f"watch=1&timeoutSeconds=1&fieldSelector=spec.nodeName%3Dn1&resourceVersion={start}"
    assert seen(await http.frames(f"/api/v1/pods?{query}")) == [("ADDED", "p1")]


async def test_who_wants_one_value_of_a_field(http: Http) -> None:
    """Their events are looked up, those of an object that comes and goes as well."""
    expected = {
        "spec.nodeName%3Dn1": ["ADDED p1", "MODIFIED p1", "DELETED p1"],
        "spec.nodeName%3D": ["ADDED p1", "DELETED p1", "ADDED p2", "DELETED p2"],  # as the first schedulers watched
        "spec.nodeName%3Dn1,metadata.name%3Dp1": ["ADDED p1", "MODIFIED p1", "DELETED p1"],
        "spec.nodeName%3Dn1,metadata.name!%3Dp1": [],
        "spec.nodeName!%3Dn2,metadata.name%3Dp2": ["ADDED p2", "DELETED p2"],
        "spec.nodeName%3Dn3": [],
    }
    start = (await http.made("/api/v1/namespaces/default/services", service("s")))["metadata"]["resourceVersion"]
    for name, node in (("p1", "n1"), ("p2", "n2")):
        await http.made(PODS, pod(name))
        await http("POST", f"{PODS}/{name}/binding", {"target": {"name": node}})
    await label(http, "p1", app="x")
    await http("DELETE", f"{PODS}/p1?gracePeriodSeconds=0")

    async def told(selector: str) -> list[str]:
        query = f"watch=1&timeoutSeconds=1&resourceVersion={start}&fieldSelector={selector}"
        return [f"{type} {name}" for type, name in seen(await http.frames(f"/api/v1/pods?{query}"))]

    answers = await asyncio.gather(*(told(selector) for selector in expected))
    assert dict(zip(expected, answers, strict=True)) == expected


async def test_live_events_reach_all_watchers(http: Http) -> None:
    async def watch() -> list[str]:
        names = []
        async with http.session.get(f"{http.base_url}{PODS}?watch=1") as answer:
            async for line in answer.content:
                names.append(json.loads(line)["object"]["metadata"]["name"])
                if len(names) == 50:
                    return names
        return names

    watchers = [asyncio.create_task(watch()) for _ in range(10)]
    await asyncio.sleep(0.2)
    await asyncio.gather(*(http.made(PODS, pod(f"p{n}")) for n in range(50)))
    results = await asyncio.wait_for(asyncio.gather(*watchers), 10)
    assert all(names == results[0] for names in results)
    assert set(results[0]) == {f"p{n}" for n in range(50)}


async def test_what_the_ring_has_forgotten_is_read_from_the_store(http: Http, server: Server) -> None:
    made = await http.made(PODS, pod())
    await label(http, "p1", app="x")
    await label(http, "p1", app="y")
    server._registries["pods"].shelf.history.forget(await server.storage.revision())
    await label(http, "p1", app="x")
    query = f"watch=1&timeoutSeconds=1&resourceVersion={made['metadata']['resourceVersion']}"
    assert seen(await http.frames(f"{PODS}?{query}")) == [("MODIFIED", "p1")] * 3
    selected = await http.frames(f"{PODS}?{query}&labelSelector=app%3Dx")
    assert seen(selected) == [("ADDED", "p1"), ("DELETED", "p1"), ("ADDED", "p1")]
    assert selected[1][1]["metadata"]["labels"] == {"app": "x"}


async def forget(server: Server) -> int:
    """The revision that neither the ring nor the store goes behind any more."""
    revision = await server.storage.revision()
    server._registries["pods"].shelf.history.forget(revision)
    await server.storage.compact(revision)
    return revision


async def test_compacted_history_is_gone(http: Http, server: Server) -> None:
    await http.made(PODS, pod())
    oldest = await forget(server)
    code, status = await http("GET", f"{PODS}?watch=1&resourceVersion={oldest - 1}")
    assert (code, status["reason"]) == (410, "Expired")
    assert status["message"] == f"too old resource version: {oldest - 1} ({oldest})"
    assert await http.frames(f"{PODS}?watch=1&timeoutSeconds=1&resourceVersion={oldest}") == []


async def test_a_watcher_that_falls_out_goes_on_from_the_store(http: Http, server: Server) -> None:
    async with http.session.get(f"{http.base_url}{PODS}?watch=1&timeoutSeconds=20") as answer:
        await asyncio.sleep(0.1)
        server._registries["pods"].shelf.history._size = 0  # whoever looks is too late
        await asyncio.gather(*(http.made(PODS, pod(f"p{n}")) for n in range(20)))
        names = [json.loads(await answer.content.readline())["object"]["metadata"]["name"] for _ in range(20)]
        assert sorted(names) == sorted(f"p{n}" for n in range(20))


async def test_a_watcher_that_falls_out_of_the_store_too_is_told(http: Http, server: Server) -> None:
    async with http.session.get(f"{http.base_url}{PODS}?watch=1&timeoutSeconds=20") as answer:
        await asyncio.sleep(0.1)
        await server.storage.commit({}, {"/registry/labkit/x": b"{}"})
        await forget(server)
        frame = json.loads(await answer.content.readline())
        assert (frame["type"], frame["object"]["code"], frame["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert await answer.content.readline() == b""


async def test_bookmarks(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.3)
    made = await http.made(PODS, pod())
    await http.made("/api/v1/namespaces/other/services", service())
    start = made["metadata"]["resourceVersion"]
    frames = await http.frames(f"{PODS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={start}")
    assert {type for type, _ in frames} == {"BOOKMARK"}
    bookmark = frames[0][1]
    assert bookmark["kind"] == "Pod"
    assert int(bookmark["metadata"]["resourceVersion"]) > int(start)
    assert await http.frames(f"{PODS}?watch=1&timeoutSeconds=1&resourceVersion={start}") == []


async def test_a_watch_in_the_place_of_a_list(http: Http) -> None:
    """kubectl 1.35 and later: what is there, a bookmark that says so, then what happens."""
    made = await http.made(PODS, pod())
    asked = "watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true"
    for revision in ("", "&resourceVersion=0", f"&resourceVersion={made['metadata']['resourceVersion']}"):
        frames = await http.frames(f"{PODS}?{asked}&resourceVersionMatch=NotOlderThan{revision}")
        assert [type for type, _ in frames] == ["ADDED", "BOOKMARK"]
        meta = frames[1][1]["metadata"]
        assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(meta["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])
    code, status = await http("GET", f"{PODS}?{asked}")
    assert (code, status["reason"]) == (400, "BadRequest")
    assert "resourceVersionMatch" in status["message"]


async def test_bookmarks_while_only_others_are_busy(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubelet of an idle node in a busy cluster: without them it could not go on after a compaction."""
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.3)
    start = (await http.made(PODS, pod("p")))["metadata"]["resourceVersion"]
    query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={start}"
    idle = asyncio.create_task(http.frames(f"{PODS}?{query}&fieldSelector=spec.nodeName%3Dn1"))
    made = start
    for n in range(100):
        if idle.done():
            break
        made = (await http.made(PODS, pod(f"p{n}")))["metadata"]["resourceVersion"]
        await asyncio.sleep(0.02)
    frames = await idle
    assert {type for type, _ in frames} == {"BOOKMARK"}
    assert int(start) < int(frames[-1][1]["metadata"]["resourceVersion"]) <= int(made)


async def test_tables(http: Http) -> None:
    made = await http.made(PODS, pod())
    await label(http, "p1", a="b")
    await label(http, "p1", a="c")
    start = made["metadata"]["resourceVersion"]
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    url = f"{http.base_url}{PODS}?watch=1&timeoutSeconds=1&resourceVersion={start}"
    async with http.session.get(url, headers=accept) as answer:
        frames = [json.loads(line) for line in (await answer.read()).splitlines()]
    assert [frame["object"]["kind"] for frame in frames] == ["Table", "Table"]
    assert frames[0]["object"]["columnDefinitions"][0]["name"] == "Name"
    assert not frames[1]["object"]["columnDefinitions"]


async def test_stopping_the_server_ends_watches_cleanly(http: Http, server: Server) -> None:
    async with http.session.get(f"{http.base_url}{PODS}?watch=1") as answer:
        await asyncio.sleep(0.1)
        async with asyncio.timeout(4):
            await server.stop()
            assert await answer.content.read() == b""
