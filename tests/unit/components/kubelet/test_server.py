"""The kubelet's server: whom it lets in, and what it tells of containers."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from labkit.api.types import Pod
from labkit.components.kubelet.fake import FakeRuntime, Program
from labkit.components.kubelet.runtime import ContainerConfig, LogOptions
from labkit.components.kubelet.server import ADMITTED, limited, log_options, serving, tls_context
from labkit.testing.eventually import eventually
from tests.node.real_etcd import Authority
from tests.unit.components.kubelet.one_node import OneNode, one_node


def program(config: ContainerConfig) -> Program:
    if config.command == ("exits",):
        return Program(output=("one", "two"), exit_code=1)
    return Program(output=("one", "two", "three"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "ca").mkdir()
    return Authority(tmp_path / "ca")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[OneNode]:
    runtime = FakeRuntime("n1", program=program)
    async with one_node(runtime, tmp_path, housekeeping_seconds=3600.0) as node:  # a test looks itself, when it wants
        yield node


@pytest.fixture
async def url(node: OneNode, authority: Authority) -> AsyncIterator[str]:
    certificate, key = authority.issue("n1")
    tls = tls_context(str(certificate), str(key), str(authority.ca))
    async with serving(node.kubelet, "127.0.0.1", 0, tls) as port:
        yield f"https://localhost:{port}"


@asynccontextmanager
async def client(
    trusted: Authority, own: Authority | None, name: str = ADMITTED
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that has a certificate of `own`, in that name."""
    context = ssl.create_default_context(cafile=str(trusted.ca))
    if own is not None:
        context.load_cert_chain(*own.issue(name))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session


async def running_pod(node: OneNode, *command: str, name: str = "p") -> None:
    await node.create({"command": list(command)}, name=name)
    await eventually(lambda: _started(node, name))


async def _started(node: OneNode, name: str) -> bool:
    return any(c.started for c in await node.containers("c") if c.pod == f"default/{name}")


class TestWhoIsLetIn:
    async def test_the_api_server(self, url: str, authority: Authority) -> None:
        async with client(authority, authority) as session:
            assert await (await session.get(f"{url}/healthz")).text() == "ok"

    @pytest.mark.parametrize("name", ["system:node:n1", "admin", "system:kube-proxy", "kube-apiserver"])
    @pytest.mark.cis("4.2.2", "1.2.4")
    async def test_nobody_else_of_the_cluster(self, url: str, authority: Authority, name: str) -> None:
        async with client(authority, authority, name) as session:
            for path in ("/healthz", "/pods", "/containerLogs/default/p/c", "/nothing"):
                answer = await session.get(url + path)
                assert answer.status == 403
                assert await answer.text() == f"{name} may not ask the kubelet, only {ADMITTED} may"

    @pytest.mark.cis("4.2.1", "4.2.3")
    async def test_no_certificate_and_one_of_another_ca(self, url: str, authority: Authority, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        for own in (None, Authority(tmp_path / "other")):
            async with client(authority, own) as session:
                with pytest.raises(aiohttp.ClientError):
                    await session.get(f"{url}/healthz")

    @pytest.mark.cis("4.2.12")
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
    @pytest.mark.parametrize(
        ("newest", "ciphers"),
        [(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"), (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")],
    )
    async def test_no_weak_tls(self, url: str, authority: Authority, newest: ssl.TLSVersion, ciphers: str) -> None:
        context = ssl.create_default_context(cafile=str(authority.ca))
        context.load_cert_chain(*authority.issue(ADMITTED))
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_2
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            assert (await session.get(f"{url}/healthz")).status == 200
        context.set_ciphers(ciphers)
        context.maximum_version = newest
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{url}/healthz")

    async def test_no_plain_http(self, url: str) -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(url.replace("https", "http") + "/healthz")


class TestLogs:
    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("", "one\ntwo\nthree\n"), ("?tailLines=1", "three\n"), ("?limitBytes=5", "one\nt"), ("?limitBytes=0", ""),
            ("?tailLines=2&limitBytes=3", "two"), ("?sinceSeconds=60", "one\ntwo\nthree\n"),
            ("?sinceTime=2999-01-01T00:00:00Z", ""),
        ],
    )  # fmt: skip
    async def test_of_a_running_container(
        self, node: OneNode, url: str, authority: Authority, query: str, text: str
    ) -> None:
        await running_pod(node)
        async with client(authority, authority) as session:
            answer = await session.get(f"{url}/containerLogs/default/p/c{query}")
            assert (answer.status, await answer.text()) == (200, text)

    async def test_followed_until_the_container_ends(self, node: OneNode, url: str, authority: Authority) -> None:
        await running_pod(node)
        async with client(authority, authority) as session:
            answer = await session.get(f"{url}/containerLogs/default/p/c?follow=true")
            assert await answer.content.readline() == b"one\n"
            assert isinstance(node.runtime, FakeRuntime)
            node.runtime.exit("p", "c")
            async with asyncio.timeout(5):
                assert await answer.content.read() == b"two\nthree\n"

    async def test_a_follower_that_goes_away_costs_nothing(self, node: OneNode, url: str, authority: Authority) -> None:
        await running_pod(node)
        before = len(asyncio.all_tasks())
        async with client(authority, authority) as session:
            answer = await session.get(f"{url}/containerLogs/default/p/c?follow=true")
            assert await answer.content.readline() == b"one\n"
            answer.close()
        await eventually(lambda: len(asyncio.all_tasks()) <= before)

    async def test_previous(self, node: OneNode, url: str, authority: Authority) -> None:
        await node.create({"command": ["exits"]})
        await node.status(lambda s: s.container_statuses and s.container_statuses[0].restart_count == 1)
        await running_pod(node, name="once")
        async with client(authority, authority) as session:
            answer = await session.get(f"{url}/containerLogs/default/p/c?previous=true")
            assert (answer.status, await answer.text()) == (200, "one\ntwo\n")
            answer = await session.get(f"{url}/containerLogs/default/once/c?previous=true")
            assert (answer.status, await answer.text()) == (
                400, 'previous terminated container "c" in pod "once" not found'
            )  # fmt: skip

    async def test_what_there_is_not(self, node: OneNode, url: str, authority: Authority) -> None:
        await running_pod(node)
        assert isinstance(node.runtime, FakeRuntime)
        node.runtime.absent = {"nope"}
        await node.create({"image": "nope"}, name="waits")
        await node.status(lambda s: s.container_statuses and s.container_statuses[0].state.waiting, "waits")
        async with client(authority, authority) as session:
            for path, status, text in (
                ("default/nope/c", 404, 'pod "nope" does not exist in namespace "default" on this node'),
                ("default/p/x", 400, "container x is not valid for pod p"),
                ("default/waits/c", 400, 'container "c" in pod "waits" is waiting to start: '),
                ("default/p/c?tailLines=x", 400, "tailLines: 'x' is not a number that is 0 or more"),
                ("default/p/c?sinceTime=x", 400, "sinceTime: 'x' is no RFC 3339 time"),
            ):
                answer = await session.get(f"{url}/containerLogs/{path}")
                assert (answer.status, text in await answer.text()) == (status, True), path


async def test_pods(node: OneNode, url: str, authority: Authority) -> None:
    await running_pod(node)
    async with client(authority, authority) as session:
        answer = await session.get(f"{url}/pods")
        listed = json.loads(await answer.text())
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("PodList", ["p"])
    assert listed["items"][0]["status"]["hostIP"] == "127.0.0.1"


async def test_healthz_says_what_is_wrong(node: OneNode, url: str, authority: Authority) -> None:
    node.kubelet.node.trouble = "container runtime is down"
    async with client(authority, authority) as session:
        answer = await session.get(f"{url}/healthz")
        assert (answer.status, await answer.text()) == (500, "container runtime is down")


def test_log_options() -> None:
    assert log_options({}, 100.0) == LogOptions()
    asked = {"follow": "true", "tailLines": "0", "sinceSeconds": "60", "timestamps": "true"}
    assert log_options(asked, 100.0) == LogOptions(follow=True, tail=0, since=40.0, timestamps=True)
    with pytest.raises(web.HTTPBadRequest):
        log_options({"tailLines": "-1"}, 100.0)


async def test_limited() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"abc", b"def", b"ghi"):
            yield chunk

    assert [c async for c in limited(chunks(), 4)] == [b"abc", b"d"]  # type: ignore[arg-type]
    assert [c async for c in limited(chunks(), None)] == [b"abc", b"def", b"ghi"]  # type: ignore[arg-type]


class TestFigures:
    """What the pages hold is tested in test_usage.py; here, that they are there."""

    async def test_every_page(self, node: OneNode, url: str, authority: Authority) -> None:
        await running_pod(node)
        await node.kubelet.stats.look()
        uid = (await node.client.get(Pod, "p", "default")).metadata.uid
        async with client(authority, authority) as session:

            async def page(path: str, wish: str = "") -> Any:
                asked = session.post(url + path, data=wish) if wish else session.get(url + path)
                async with asked as answer:
                    assert answer.status == 200, await answer.text()
                    return await (answer.json() if answer.content_type == "application/json" else answer.text())

            assert [pod["podRef"]["name"] for pod in (await page("/stats/summary"))["pods"]] == ["p"]
            assert "machine_cpu_cores" in await page("/metrics")
            assert (await page("/spec/"))["num_cores"] >= 1
            assert (await page("/stats/"))["name"] == "/"
            assert len((await page("/stats/", '{"num_stats": 1}'))["stats"]) == 1
            by_uid = await page(f"/stats/default/p/{uid}/c")
            assert by_uid == await page("/stats/p/c")
            assert set(await page("/stats/container/", '{"containerName": "/"}')) == {"/"}
            everything = await page("/stats/container/", '{"containerName": "/", "subcontainers": true}')
            assert by_uid["name"] in everything
            assert len(everything) == 3  # the machine, the pause container, the pod's

    @pytest.mark.parametrize(
        ("path", "wish", "code", "text"),
        [
            ("/stats/nope/c", "{}", 404, "no running container 'c' of pod default/nope has been seen here yet"),
            ("/stats/default/p/other-uid/c", "{}", 404, "no running container 'c' of pod default/p"),
            ("/stats/container/", '{"containerName": "/nope"}', 404, "containerName: no group '/nope' runs here"),
            ("/stats/", "{", 400, 'expected JSON like {"num_stats": 2}'),
            ("/stats/", '{"num_stats": "x"}', 400, "Expected `int`, got `str` - at `$.num_stats`"),
            ("/stats/", '{"num_stats": 0}', 400, "num_stats: 0 is less than 1"),
            ("/stats/summary", "{}", 405, ""),
        ],
    )  # fmt: skip
    async def test_bad_questions(
        self, node: OneNode, url: str, authority: Authority, path: str, wish: str, code: int, text: str
    ) -> None:
        await running_pod(node)
        await node.kubelet.stats.look()
        async with client(authority, authority) as session, session.post(url + path, data=wish) as answer:
            assert answer.status == code
            assert text in await answer.text()


async def test_the_read_only_port_only_shows(node: OneNode) -> None:
    """What everybody may see; no logs, no streams."""
    await node.create()
    await node.status(lambda status: status.phase == "Running")
    async with serving(node.kubelet, "127.0.0.1", 0, None) as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        assert await (await session.get(f"{url}/healthz")).text() == "ok"
        assert [pod["metadata"]["name"] for pod in (await (await session.get(f"{url}/pods")).json())["items"]] == ["p"]
        for path in ("containerLogs/default/p/c", "exec/default/p/c", "run/default/p/c", "portForward/default/p"):
            assert (await session.get(f"{url}/{path}")).status == 404
            assert (await session.post(f"{url}/{path}")).status == 404
