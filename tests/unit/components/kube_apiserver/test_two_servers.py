"""Two servers on one store, the second of which hears of everything late: nobody can tell from its answers."""

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest

from labkit.components.kube_apiserver import resources
from labkit.components.kube_apiserver.server import Server, start_in_process
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.memory import Memory
from labkit.storage.protocol import Change
from labkit.trace import Tracer

from .conftest import Http, pod, service

NS = "/api/v1/namespaces/x"
LATE = 0.2  # seconds


class Late:
    """A view of a Memory that is told of its changes some time after."""

    def __init__(self, memory: Memory, seconds: float = LATE) -> None:
        self._memory, self.seconds = memory, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Sequence[Change], None]:
        async with contextlib.aclosing(self._memory.watch(prefix, revision)) as watch:
            async for batch in watch:
                await asyncio.sleep(self.seconds)
                yield batch


class Two:
    """`one` is up to date, `late` is not."""

    def __init__(self, one: Http, late: Http, server: Server) -> None:
        self.one, self.late, self.server = one, late, server

    async def made(self) -> None:
        """A namespace that both have heard of."""
        made = await self.one.made("/api/v1/namespaces", {"metadata": {"name": "x"}})
        await self.late.got(f"{NS}/pods?resourceVersion={made['metadata']['resourceVersion']}")

    async def end(self) -> None:
        code, _ = await self.one("DELETE", NS)
        assert code == 200

    async def remove(self) -> None:
        await self.end()
        finalized = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "x"}, "spec": {"finalizers": []}}
        assert (await self.one("PUT", f"{NS}/finalize", finalized))[0] == 200
        assert (await self.one("DELETE", NS))[0] == 200


@contextlib.asynccontextmanager
async def two_servers(admission: str) -> AsyncIterator[Two]:
    memory = Memory()
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        one = await stack.enter_async_context(await start_in_process(memory, trace=Tracer("one", io.StringIO())))
        late = Server(Late(memory), Settings(admission_control=admission), Tracer("late", io.StringIO()), insecure=True)
        await stack.enter_async_context(late)
        await late.start()
        yield Two(Http(one.base_url, session), Http(late.base_url, session), late)
    await memory.close()


@pytest.fixture(params=["NamespaceLifecycle", "NamespaceLifecycle,NamespaceExists"])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    async with two_servers(request.param) as two:
        yield two


async def test_nothing_is_created_in_a_namespace_that_another_server_began_to_delete(two: Two) -> None:
    await two.made()
    await two.end()
    code, status = await two.late("POST", f"{NS}/pods", pod())
    assert (code, status["reason"]) == (403, "Forbidden")
    assert "because it is being terminated" in status["message"]
    assert (await two.one.got(f"{NS}/pods"))["items"] == []


async def test_nothing_is_created_in_a_namespace_that_is_gone() -> None:
    async with two_servers("NamespaceLifecycle,NamespaceExists") as two:
        await two.made()
        await two.remove()
        for body, path in ((pod(), "pods"), (service(), "services"), (pod("", generateName="p-"), "pods")):
            code, status = await two.late("POST", f"{NS}/{path}", body)
            assert (code, status["reason"]) == (403, "Forbidden"), path
            assert status["message"].endswith("Namespace x does not exist")
        assert (await two.one.got(f"{NS}/pods"))["items"] == []


async def test_a_namespace_that_the_late_server_has_not_heard_of_yet_can_be_used(two: Two) -> None:
    await two.one.made("/api/v1/namespaces", {"metadata": {"name": "x"}})
    await two.late.made(f"{NS}/pods", pod())


async def test_a_namespace_that_merely_changed_is_no_obstacle(two: Two) -> None:
    await two.made()
    merge = "application/merge-patch+json"
    assert (await two.one("PATCH", NS, {"metadata": {"labels": {"a": "b"}}}, Content_Type=merge))[0] == 200
    made = await two.late.made(f"{NS}/pods", pod("", generateName="p-"))
    assert made["metadata"]["name"].startswith("p-")
    assert len((await two.one.got(f"{NS}/pods"))["items"]) == 1


async def test_a_quota_is_charged_once_for_each_object_made() -> None:
    """Also for one whose namespace changed between charge and creation."""
    async with two_servers("NamespaceLifecycle,ResourceQuota") as two:
        await two.made()
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}}
        made = await two.one.made(f"{NS}/resourcequotas", quota)
        made["status"] = {"hard": {"pods": "5"}, "used": {"pods": "0"}}
        code, counted = await two.one("PUT", f"{NS}/resourcequotas/q/status", made)
        assert code == 200
        await two.late.got(f"{NS}/pods?resourceVersion={counted['metadata']['resourceVersion']}")
        merge = "application/merge-patch+json"
        assert (await two.one("PATCH", NS, {"metadata": {"labels": {"a": "b"}}}, Content_Type=merge))[0] == 200
        answers = await asyncio.gather(*(two.late("POST", f"{NS}/pods", pod(f"p{n}")) for n in range(8)))
        assert sorted(code for code, _ in answers) == [201] * 5 + [403] * 3
        assert (await two.one.got(f"{NS}/resourcequotas/q"))["status"]["used"] == {"pods": "5"}


async def test_a_resource_version_that_is_not_here_yet_is_waited_for(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "REVISION_SECONDS", 0.5)
    made = await two.one.made("/api/v1/namespaces/default/pods", pod())
    revision = int(made["metadata"]["resourceVersion"])
    assert await two.late.got(f"/api/v1/namespaces/default/pods/p1?resourceVersion={revision}") == made
    code, status = await two.late("GET", f"/api/v1/namespaces/default/pods?resourceVersion={revision + 1000}")
    assert (code, status["reason"]) == (504, "Timeout")
    assert status["message"] == f"Timeout: Too large resource version: {revision + 1000}, current: {revision}"
    assert status["details"]["causes"] == [
        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    ]
    assert status["details"]["retryAfterSeconds"] == 1


async def test_one_of_many_creates_and_replaces_wins(two: Two) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    both = (two.one, two.late)
    named = {"metadata": {"name": "c"}}
    answers = await asyncio.gather(*(both[n % 2]("POST", path, named) for n in range(10)))
    assert (
        sorted((code, status.get("reason")) for code, status in answers) == [(201, None)] + [(409, "AlreadyExists")] * 9
    )
    made = await two.one.got(f"{path}/c")
    changed = [{**made, "data": {"n": str(n)}} for n in range(10)]
    answers = await asyncio.gather(*(both[n % 2]("PUT", f"{path}/c", body) for n, body in enumerate(changed)))
    assert sorted((code, status.get("reason", "")) for code, status in answers) == [(200, "")] + [(409, "Conflict")] * 9
    answers = await asyncio.gather(*(both[n % 2]("DELETE", f"{path}/c") for n in range(10)))
    assert sorted((code, status.get("reason", "")) for code, status in answers) == [(200, "")] + [(404, "NotFound")] * 9
