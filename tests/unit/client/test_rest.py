"""The verbs on the wire, errors as exceptions, watches cut into frames."""

import asyncio
import socket
from contextlib import aclosing

import pytest
from aiohttp import web

import labkit
from labkit.api.errors import AlreadyExists, Gone, InternalError, NotFound, ServerUnavailable
from labkit.api.types import Namespace, ObjectMeta, Pod
from labkit.client import rest
from labkit.client.rest import Client
from tests.unit.client.server import frame, pod, pod_list, serving, status


async def test_so_many_requests_at_once_and_no_more() -> None:
    under_way, most = 0, 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return web.json_response(pod("a", 7))

    async with serving(answer) as other, Client(other.base_url, at_once=3) as client:
        await asyncio.gather(*(client.get(Pod, "a", "default") for _ in range(12)))
    assert most == 3


async def test_each_verb_has_its_method_path_and_body() -> None:
    seen: list[tuple[str, str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        seen.append((request.method, request.path_qs, body))
        return web.json_response(pod("a b", 7))

    async with serving(answer) as client:
        a = await client.create(Pod(metadata=ObjectMeta(name="a b", namespace="default")))
        assert (a.metadata.uid, a.metadata.resource_version) == ("uid-a b", "7")
        await client.get(Pod, "a b", "default")
        await client.get(Namespace, "default")
        await client.update(a)
        await client.update_status(a)
        await client.bind(a, "agent1")
        await client.delete(Pod, "a b", "default")
        await client.delete(Pod, "a b", "default", grace_period_seconds=0, uid="u1")
        await client.list(Pod, "default", label_selector="app=web,tier!=db", field_selector="spec.nodeName=")
        await client.list(Pod)

    path = "/api/v1/namespaces/default/pods"
    assert [(method, where) for method, where, _ in seen] == [
        ("POST", path),
        ("GET", f"{path}/a%20b"),
        ("GET", "/api/v1/namespaces/default"),
        ("PUT", f"{path}/a%20b"),
        ("PUT", f"{path}/a%20b/status"),
        ("POST", f"{path}/a%20b/binding"),
        ("DELETE", f"{path}/a%20b"),
        ("DELETE", f"{path}/a%20b"),
        ("GET", f"{path}?labelSelector=app%3Dweb,tier!%3Ddb&fieldSelector=spec.nodeName%3D"),
        ("GET", "/api/v1/pods"),
    ]
    bodies = [body for _, _, body in seen]
    assert bodies[5] == {
        "kind": "Binding",
        "apiVersion": "v1",
        "metadata": {"name": "a b", "namespace": "default", "uid": "uid-a b"},
        "target": {"kind": "Node", "name": "agent1"},
    }
    assert bodies[6] is None
    assert bodies[7] == {
        "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": {"uid": "u1"}
    }  # fmt: skip


async def test_a_status_becomes_the_class_that_the_server_raised() -> None:
    answers = [
        status(404, "NotFound", 'pods "x" not found'),
        status(409, "AlreadyExists", 'pods "x" already exists'),
        web.Response(status=502, text="<html>no gateway</html>"),
        web.json_response("no object"),
    ]

    async def answer(request: web.Request) -> web.Response:
        return answers.pop(0)

    async with serving(answer) as client:
        with pytest.raises(NotFound, match='pods "x" not found'):
            await client.get(Pod, "x", "default")
        with pytest.raises(AlreadyExists):
            await client.create(Pod(metadata=ObjectMeta(name="x", namespace="default")))
        with pytest.raises(InternalError, match="HTTP 502: <html>no gateway"):
            await client.get(Pod, "x", "default")
        with pytest.raises(InternalError, match="answer is not a"):
            await client.get(Pod, "x", "default")


async def test_who_is_asking() -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers.get("User-Agent"), request.headers.get("Authorization")))
        return web.json_response(pod("a", 1))

    async with serving(answer) as client:
        await client.get(Pod, "a", "default")
        async with Client(client.base_url, token="secret", user_agent="kube-scheduler") as named:
            await named.get(Pod, "a", "default")
    assert seen[1] == ("kube-scheduler", "Bearer secret")
    assert seen[0][0] is not None
    assert f"/{labkit.__version__}" in seen[0][0]
    assert seen[0][1] is None


async def test_nobody_answers() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with Client(url) as client:
            with pytest.raises(ServerUnavailable, match=rf"GET {url}/api/v1/pods: the API server does not answer"):
                await client.list(Pod)


async def test_a_list_has_its_revision() -> None:
    async def answer(request: web.Request) -> web.Response:
        return pod_list(41, pod("a", 3), pod("b", 40))

    async with serving(answer) as client:
        listing = await client.list(Pod)
    assert ([p.metadata.name for p in listing.items], listing.resource_version) == (["a", "b"], "41")


async def test_an_empty_list_may_be_null() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"kind": "PodList", "metadata": {"resourceVersion": "5"}, "items": None})

    async with serving(answer) as client:
        assert (await client.list(Pod)).items == []


async def test_frames_arrive_whole_however_they_are_cut() -> None:
    sent = frame("ADDED", pod("a", 1)) + frame("MODIFIED", pod("a", 2)) + b"\n" + frame("DELETED", pod("a", 3))

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query["resourceVersion"] == "7"
        assert int(request.query["timeoutSeconds"]) > 60
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(sent), 50):
            await response.write(sent[start : start + 50])
            await asyncio.sleep(0)
        await response.write(sent[:20])  # the server ends in the middle of a frame
        return response

    async with serving(answer) as client, aclosing(client.watch(Pod, resource_version="7")) as watch:
        got = [(event.type, event.object.metadata.resource_version) async for event in watch]
    assert got == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "3")]


@pytest.mark.parametrize("early", [True, False], ids=["as the answer", "as a frame"])
async def test_an_old_revision_is_gone(early: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        gone = status(410, "Gone", "too old resource version: 7 (99)")
        if early:
            return gone
        return web.Response(body=b'{"type":"ERROR","object":' + (gone.body or b"") + b"}\n")  # type: ignore[operator]

    async with serving(answer) as client:
        with pytest.raises(Gone, match="too old resource version"):
            async with aclosing(client.watch(Pod, resource_version="7")) as watch:
                await anext(watch)


async def test_a_watch_may_be_left_early() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(frame("ADDED", pod("a", 1)))
        await asyncio.sleep(30)
        return response

    async with serving(answer) as client, aclosing(client.watch(Pod)) as watch:
        assert (await anext(watch)).object.metadata.name == "a"


async def test_a_server_that_went_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "WATCH_SECONDS", 0)
    monkeypatch.setattr(rest, "WATCH_GRACE_SECONDS", 0.1)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(30)
        return response

    async with serving(answer) as client:
        with pytest.raises(ServerUnavailable):
            async with aclosing(client.watch(Pod)) as watch:
                await anext(watch)


def test_connections_ask_whether_the_peer_lives() -> None:
    with rest._socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
