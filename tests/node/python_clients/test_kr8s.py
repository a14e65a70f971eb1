"""The client `kr8s`, by certificate and by token: objects, watches, logs, exec, port-forward, proxied requests."""

import asyncio
import random
import warnings
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import kr8s.asyncio
import pytest
from kr8s import ExecError, NotFoundError, ServerError
from kr8s.asyncio.objects import ConfigMap, Namespace, Node, Pod, ReplicationController, Service

from labkit.testing.eventually import eventually
from tests.node.one_node import OneNode
from tests.node.python_clients import manifests

# it says once that it does not know a Kubernetes as old as this one
pytestmark = pytest.mark.filterwarnings("ignore:Kubernetes version v0.18.2")


@pytest.fixture
async def api(config: str) -> AsyncIterator[Any]:
    before = asyncio.all_tasks()
    api = await kr8s.asyncio.api(kubeconfig=config)
    yield api
    await api._session.aclose()
    # the client leaves its generators to the event loop
    await eventually(lambda: asyncio.all_tasks() - {asyncio.current_task()} <= before, within=20)


@pytest.fixture
async def namespace(api: Any) -> AsyncIterator[str]:
    made = await Namespace({"metadata": {"name": f"kr8s-{random.randbytes(4).hex()}"}}, api=api)
    await made.create()
    await eventually(lambda: collected(api.get("serviceaccounts", namespace=made.name)))
    yield made.name
    await made.delete()
    await made.wait("delete", timeout=20)


async def collected(found: AsyncGenerator[Any, None]) -> list[Any]:
    return [one async for one in found]


async def names(found: AsyncGenerator[Any, None]) -> list[str]:
    return [one.name async for one in found]


async def first(found: AsyncGenerator[Any, None]) -> Any:
    return await anext(found)


class TestObjects:
    async def test_version_and_discovery(self, api: Any) -> None:
        assert (await api.version())["gitVersion"] == "v0.18.2+labkit"
        assert await api.lookup_kind("rc") == ("replicationcontroller/v1", "replicationcontrollers", True)
        assert {"pods", "nodes", "services"} <= {one["name"] for one in await api.api_resources()}

    async def test_a_pod_s_life(self, api: Any, namespace: str) -> None:
        pod = await Pod({**manifests.pod("p"), "metadata": {"name": "p", "namespace": namespace}}, api=api)
        await pod.create()
        assert await pod.exists()
        await pod.label({"colour": "red"})
        await pod.annotate({"seen": "yes"})
        assert await names(api.get("pods", namespace=namespace, label_selector={"colour": "red"})) == ["p"]
        assert await names(api.get("pods", "p", namespace=namespace)) == ["p"]
        await pod.remove_label("colour")
        await pod.patch([{"op": "add", "path": "/metadata/labels", "value": {"x": "1"}}], type="json")
        await pod.refresh()
        assert (dict(pod.labels), dict(pod.annotations)) == ({"x": "1"}, {"seen": "yes"})
        await pod.delete()
        assert not await pod.exists()

    async def test_scale(self, api: Any, namespace: str) -> None:
        document = manifests.controller("rc")
        document["metadata"]["namespace"] = namespace
        controller = await ReplicationController(document, api=api)
        await controller.create()
        await controller.scale(2)

        async def both() -> bool:
            return len(await names(api.get("pods", namespace=namespace, label_selector="a=b"))) == 2

        await eventually(both, within=10)

    async def test_a_node(self, api: Any, node: OneNode) -> None:
        found = await Node.get(node.name, api=api)
        await found.cordon()
        assert found.unschedulable
        await found.uncordon()
        assert not found.unschedulable

    async def test_refusals(self, api: Any) -> None:
        with pytest.raises(NotFoundError):
            await Pod.get("nope", namespace="default", api=api)
        wrong = await Pod({"metadata": {"name": "UPPER", "namespace": "default"}, "spec": {"containers": []}}, api=api)
        with pytest.raises(ServerError, match=r"metadata\.name") as refused:
            await wrong.create()
        assert refused.value.response.status_code == 422

    async def test_watch(self, api: Any, namespace: str) -> None:
        changed = await ConfigMap({"metadata": {"name": "m", "namespace": namespace}}, api=api)
        await changed.create()
        seen = []
        async for kind, found in api.watch("configmaps", namespace=namespace):
            seen.append((kind, found.name))
            if kind == "ADDED":
                await changed.patch({"data": {"a": "b"}})
            elif kind == "MODIFIED":
                await changed.delete()
            else:
                break
        assert seen == [("ADDED", "m"), ("MODIFIED", "m"), ("DELETED", "m")]


class TestStreams:
    @pytest.fixture
    async def pod(self, api: Any, running: str) -> Any:
        return await Pod.get(running, namespace="default", api=api)

    async def test_waiting(self, pod: Any) -> None:
        assert await pod.ready()
        await pod.wait(["condition=Ready", "condition=ContainersReady"], timeout=10)

    async def test_logs(self, pod: Any) -> None:
        assert await collected(pod.logs(container="c")) == ["up"]
        assert await first(pod.logs(container="c", follow=True)) == "up"

    async def test_exec(self, pod: Any) -> None:
        done = await pod.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], container="c", check=False)
        assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)
        big = await pod.exec(["head", "-c", "3000000", "/dev/zero"], container="c")
        assert len(big.stdout) == 3_000_000
        with pytest.raises(ExceptionGroup) as failed:
            await pod.exec(["sh", "-c", "exit 3"], container="c")
        assert failed.group_contains(ExecError, match="exit status 3")

    async def test_exec_with_stdin_is_refused_by_the_client_itself(self, pod: Any) -> None:
        """It offers only v4, and then says that stdin needs v5."""
        with pytest.raises(ExceptionGroup) as failed:
            await pod.exec(["cat"], container="c", stdin="text")
        assert failed.group_contains(ExecError, match=r"Stdin is not supported with protocol v4")

    async def test_port_forward(self, pod: Any) -> None:
        async with pod.portforward(remote_port=7000, local_port="auto") as port:
            for size in (5, 300_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"x" * size)
                async with asyncio.timeout(10):
                    assert await reader.readexactly(size) == b"x" * size
                writer.close()
                await writer.wait_closed()

    async def test_port_forward_to_nobody_ends(self, pod: Any) -> None:
        async with pod.portforward(remote_port=7999, local_port="auto") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x")
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()

    async def test_a_service(self, api: Any, pod: Any) -> None:
        await pod.label({"by": "kr8s"})
        spec = {"selector": {"by": "kr8s"}, "ports": [{"port": 80, "targetPort": "http"}]}
        service = await Service({"metadata": {"name": "by-kr8s", "namespace": "default"}, "spec": spec}, api=api)
        await service.create()
        try:
            await eventually(service.ready_pods, within=10)
            endpoints = lambda: collected(api.get("endpoints", "by-kr8s", namespace="default"))  # noqa: E731

            async def known() -> bool:
                found = await endpoints()
                return bool(found and found[0].raw.get("subsets"))

            await eventually(known, within=10)
            assert "nobody" in (await service.proxy_http_get("passwd", port=80)).text
            async with service.portforward(remote_port=8080, local_port="auto") as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /passwd HTTP/1.0\r\n\r\n")
                async with asyncio.timeout(10):
                    assert b"root:x:0" in await reader.readuntil(b"sh\n")
                writer.close()
        finally:
            await service.delete()


def test_synchronously(config: str, running: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        api = kr8s.api(kubeconfig=config)
    pod = next(iter(api.get("pods", running, namespace="default")))
    assert pod.exec(["echo", "hi"], container="c").stdout == b"hi\n"
    assert list(pod.logs(container="c")) == ["up"]
