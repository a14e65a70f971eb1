"""kubectl top's side of the server: what it makes of the kubelets' figures, and of kubelets that do not answer.

The kubelets are small servers on loopback addresses of their own, 127.0.0.2 and on, all on one port.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
import pytest
from aiohttp import web

from labkit.api.summary import ContainerStats, Cpu, Memory, NodeStats, PodReference, PodStats, Summary
from labkit.components.kube_apiserver import kubelets, usage
from labkit.components.kube_apiserver.server import start_in_process
from tests.node.real_etcd import free_port

from .conftest import Http

METRICS = "/apis/metrics.k8s.io/v1beta1"
TIME = "2026-01-02T03:04:05Z"


def cpu(nano_cores: int | None, window: float = 20.004) -> Cpu:
    return Cpu(time=TIME, usage_nano_cores=nano_cores, usage_core_nano_seconds=1, window_seconds=window)


def stats(name: str, nano_cores: int | None, memory: int) -> ContainerStats:
    return ContainerStats(name=name, cpu=cpu(nano_cores), memory=Memory(time=TIME, working_set_bytes=memory))


@dataclass
class FakeKubelet:
    """Says what it is told to say; `asked` counts."""

    answer: bytes = b""
    status: int = 200
    delay: float = 0.0
    asked: int = 0
    pods: list[PodStats] = field(default_factory=list)

    async def summary(self, request: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, body=self.answer)

    def tells(self, node: str, *pods: PodStats) -> None:
        about = NodeStats(node_name=node, cpu=cpu(52_000_000), memory=Memory(time=TIME, working_set_bytes=300 << 20))
        self.answer = msgspec.json.encode(Summary(node=about, pods=list(pods)))


@dataclass
class Cluster:
    """A server and its kubelets; agent1 is at 127.0.0.2, agent2 at 127.0.0.3."""

    http: Http
    port: int
    stack: AsyncExitStack

    async def node(self, name: str, number: int, **labels: str) -> FakeKubelet:
        kubelet = FakeKubelet()
        address = f"127.0.0.{number + 1}"
        app = web.Application()
        app.router.add_get("/stats/summary", kubelet.summary)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, address, self.port).start()
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        await self.http.made("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "status": status})
        kubelet.tells(name)
        return kubelet

    async def pod(self, name: str, node: str, namespace: str = "default", **labels: str) -> PodReference:
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        made = await self.http.made(f"/api/v1/namespaces/{namespace}/pods", body)
        target = {"target": {"name": node}}
        await self.http.made(f"/api/v1/namespaces/{namespace}/pods/{name}/binding", target)
        return PodReference(name=name, namespace=namespace, uid=made["metadata"]["uid"])

    async def rows(self, path: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await self.http.got(METRICS + path))["items"]]


@asynccontextmanager
async def running() -> AsyncIterator[Cluster]:
    port = free_port()
    async with (
        AsyncExitStack() as stack,
        await start_in_process(kubelet_port=port) as server,
        aiohttp.ClientSession() as session,
    ):
        yield Cluster(Http(server.base_url, session), port, stack)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running() as found:
        yield found


async def test_nodes(cluster: Cluster) -> None:
    await cluster.node("agent1", 1, disk="ssd")
    listing = await cluster.http.got(f"{METRICS}/nodes")
    one = {
        "kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "agent1", "creationTimestamp": TIME, "labels": {"disk": "ssd"}},
        "timestamp": TIME, "window": "20.004s", "usage": {"cpu": "52000000n", "memory": "307200Ki"},
    }  # fmt: skip
    assert listing == {
        "kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"selfLink": f"{METRICS}/nodes"}, "items": [one],
    }  # fmt: skip
    assert await cluster.http.got(f"{METRICS}/nodes/agent1") == one


async def test_pods(cluster: Cluster) -> None:
    kubelet = await cluster.node("agent1", 1)
    web_pod = await cluster.pod("web", "agent1", app="web")
    kubelet.tells("agent1", PodStats(pod_ref=web_pod, containers=[stats("c", 1, 2048), stats("d", 5, 4096)]))
    one = await cluster.http.got(f"{METRICS}/namespaces/default/pods/web")
    assert one == {
        "kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1", "timestamp": TIME, "window": "20.004s",
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": TIME, "labels": {"app": "web"}},
        "containers": [{"name": "c", "usage": {"cpu": "1n", "memory": "2Ki"}},
                       {"name": "d", "usage": {"cpu": "5n", "memory": "4Ki"}}],
    }  # fmt: skip
    table = await cluster.http("GET", f"{METRICS}/pods", Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [column["name"] for column in table[1]["columnDefinitions"]] == ["Name", "CPU", "Memory", "Window"]
    assert table[1]["rows"][0]["cells"] == ["web", "6n", "6Ki", "20.004s"]


async def test_selectors_and_namespaces(cluster: Cluster) -> None:
    kubelet = await cluster.node("agent1", 1, disk="ssd")
    await cluster.node("agent2", 2)
    await cluster.http.made("/api/v1/namespaces", {"metadata": {"name": "other"}})
    pods = [
        await cluster.pod("a", "agent1", app="x"),
        await cluster.pod("b", "agent1", app="y"),
        await cluster.pod("c", "agent1", "other", app="x"),
    ]
    kubelet.tells("agent1", *(PodStats(pod_ref=pod, containers=[stats("c", 1, 1)]) for pod in pods))
    assert await cluster.rows("/nodes?labelSelector=disk%3Dssd") == ["agent1"]
    assert await cluster.rows("/nodes?fieldSelector=metadata.name!%3Dagent1") == ["agent2"]
    assert await cluster.rows("/pods") == ["a", "b", "c"]
    assert await cluster.rows("/namespaces/default/pods") == ["a", "b"]
    assert await cluster.rows("/pods?labelSelector=app%3Dx") == ["a", "c"]
    assert await cluster.rows("/namespaces/other/pods?fieldSelector=spec.nodeName%3Dagent2") == []
    assert (await cluster.http("GET", f"{METRICS}/pods?labelSelector=a%3D%3D%3Db"))[0] == 400


async def test_a_node_away_has_no_row_and_nobody_waits_for_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubelets, "SUMMARY_SECONDS", 0.5)
    await cluster.node("agent1", 1)
    slow, broken, confused = [await cluster.node(f"agent{number}", number) for number in (2, 3, 4)]
    slow.delay, broken.status, confused.answer = 30.0, 500, b"<html>"
    status = {"addresses": [{"type": "InternalIP", "address": "127.0.0.99"}]}
    await cluster.http.made("/api/v1/nodes", {"metadata": {"name": "refuses"}, "status": status})
    started = asyncio.get_running_loop().time()
    assert await cluster.rows("/nodes") == ["agent1"]
    assert asyncio.get_running_loop().time() - started < 5
    code, answer = await cluster.http("GET", f"{METRICS}/nodes/agent2")
    assert (code, answer["message"]) == (404, 'nodemetrics.metrics.k8s.io "agent2" not found')
    assert [kubelet.asked for kubelet in (slow, broken, confused)] == [1, 1, 1]


async def test_kubelets_are_asked_once_for_many_clients(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    kubelet = await cluster.node("agent1", 1)
    kubelet.delay = 0.1
    await asyncio.gather(*(cluster.http.got(f"{METRICS}/nodes") for _ in range(20)))
    await cluster.http.got(f"{METRICS}/pods")
    assert kubelet.asked == 1
    monkeypatch.setattr(usage, "KEPT_SECONDS", 0.0)
    await cluster.http.got(f"{METRICS}/nodes")
    assert kubelet.asked == 2


async def test_a_kubelet_is_not_believed_about_what_is_not_its_own(cluster: Cluster) -> None:
    liar = await cluster.node("agent1", 1)
    await cluster.node("agent2", 2)
    theirs, gone = await cluster.pod("theirs", "agent2"), PodReference(name="gone", namespace="default", uid="x")
    namesake = PodReference(name="theirs", namespace="default", uid="of another life")
    liar.tells("agent2", *(PodStats(pod_ref=pod, containers=[stats("c", 1, 1)]) for pod in (theirs, gone, namesake)))
    assert await cluster.rows("/pods") == []
    assert await cluster.rows("/nodes") == ["agent1", "agent2"]


async def test_half_a_pod_is_not_shown(cluster: Cluster) -> None:
    kubelet = await cluster.node("agent1", 1)
    pod = await cluster.pod("web", "agent1")
    kubelet.tells("agent1", PodStats(pod_ref=pod, containers=[stats("c", 1, 1), stats("d", None, 1)]))
    assert await cluster.rows("/pods") == []
    code, answer = await cluster.http("GET", f"{METRICS}/namespaces/default/pods/web")
    assert (code, answer["message"]) == (404, 'podmetrics.metrics.k8s.io "default/web" not found')


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/nodes", 405), ("DELETE", "/nodes/agent1", 405), ("GET", "/nodes?watch=true", 405),
        ("GET", "/pods/web", 404), ("GET", "/namespaces/default/nodes", 404), ("GET", "/services", 404),
        ("GET", "/nodes/agent1/status", 404),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked(cluster: Cluster, method: str, path: str, code: int) -> None:
    assert (await cluster.http(method, METRICS + path))[0] == code


async def test_discovery_names_them(cluster: Cluster) -> None:
    groups = await cluster.http.got("/apis")
    assert "metrics.k8s.io" in [group["name"] for group in groups["groups"]]
    resources = (await cluster.http.got(METRICS))["resources"]
    assert resources == [
        {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["get", "list"]},
        {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
    ]
    paths = (await cluster.http.got(f"/openapi/v3{METRICS}"))["paths"]
    assert {f"{METRICS}/pods", f"{METRICS}/namespaces/{{namespace}}/pods/{{name}}"} <= set(paths)
