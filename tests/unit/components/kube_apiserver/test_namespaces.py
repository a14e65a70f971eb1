"""The slow end of a namespace, as a client sees it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.memory import Memory
from labkit.trace import Tracer
from tests.unit.components.kube_apiserver.conftest import Http, pod

NAMESPACES = "/api/v1/namespaces"


def namespace(name: str = "ns1") -> dict[str, object]:
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}


async def test_delete_finalize_delete(http: Http) -> None:
    await http.made(NAMESPACES, namespace())
    code, ending = await http("DELETE", f"{NAMESPACES}/ns1")
    assert code == 200
    assert ending["status"] == {"phase": "Terminating"}
    assert ending["metadata"]["deletionTimestamp"]
    assert await http.got(f"{NAMESPACES}/ns1") == ending

    code, status = await http("DELETE", f"{NAMESPACES}/ns1")
    assert (code, status["reason"]) == (409, "Conflict")
    assert status["message"] == "Namespace ns1 termination is in progress, waiting for [kubernetes]"

    code, finalized = await http("PUT", f"{NAMESPACES}/ns1/finalize", {**ending, "spec": {}})
    assert code == 200
    assert finalized["spec"] == {}
    assert finalized["status"] == {"phase": "Terminating"}

    code, _ = await http("DELETE", f"{NAMESPACES}/ns1")
    assert code == 200
    assert (await http("GET", f"{NAMESPACES}/ns1"))[0] == 404


async def test_finalize_changes_nothing_but_the_finalizers(http: Http) -> None:
    made = await http.made(NAMESPACES, namespace())
    sent = {**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}, "spec": {"finalizers": ["example.com/x"]}}
    code, finalized = await http("PUT", f"{NAMESPACES}/ns1/finalize", sent)
    assert code == 200
    assert "labels" not in finalized["metadata"]
    assert finalized["spec"] == {"finalizers": ["example.com/x"]}
    assert (await http("PUT", f"{NAMESPACES}/ns1/finalize", {**made, "spec": {}}))[0] == 409  # an old resourceVersion
    assert (await http("GET", f"{NAMESPACES}/ns1/finalize"))[0] == 405


async def test_an_ordinary_put_keeps_the_finalizers(http: Http) -> None:
    made = await http.made(NAMESPACES, namespace())
    _, changed = await http("PUT", f"{NAMESPACES}/ns1", {**made, "spec": {}})
    assert changed["spec"] == {"finalizers": ["kubernetes"]}


async def test_nothing_new_comes_in_and_default_stays(http: Http) -> None:
    await http.made(NAMESPACES, namespace())
    await http("DELETE", f"{NAMESPACES}/ns1")
    code, status = await http("POST", f"{NAMESPACES}/ns1/pods", pod())
    assert (code, status["reason"]) == (403, "Forbidden")
    assert status["message"].endswith("in namespace ns1 because it is being terminated.")
    code, status = await http("DELETE", f"{NAMESPACES}/default")
    assert code == 403
    assert status["message"] == 'Namespace "default" is forbidden: namespace can never be deleted'
    assert status["details"] == {"name": "default", "kind": "Namespace"}


async def test_a_dry_run_terminates_nothing(http: Http) -> None:
    await http.made(NAMESPACES, namespace())
    code, shown = await http("DELETE", f"{NAMESPACES}/ns1?dryRun=All")
    assert (code, shown["status"]["phase"]) == (200, "Terminating")
    assert (await http.got(f"{NAMESPACES}/ns1"))["status"]["phase"] == "Active"


@pytest.fixture
async def strict() -> AsyncIterator[Http]:
    settings = Settings(admission_control="NamespaceLifecycle,NamespaceExists")
    server = Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True)
    async with server, aiohttp.ClientSession() as session:
        await server.start()
        yield Http(server.base_url, session)


async def test_namespace_exists(strict: Http) -> None:
    code, status = await strict("POST", f"{NAMESPACES}/nope/pods", pod())
    assert (code, status["message"]) == (403, 'Pod "p1" is forbidden: Namespace nope does not exist')
    await strict.made(NAMESPACES, namespace("nope"))
    await strict.made(f"{NAMESPACES}/nope/pods", pod())
