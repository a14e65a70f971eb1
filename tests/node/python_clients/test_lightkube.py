"""The client `lightkube`, by certificate and by token: objects, patches and apply, watches, logs, exec."""

import io
from collections.abc import Iterator
from typing import Any

import lightkube
import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models import core_v1 as models
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources import core_v1 as core
from lightkube.types import CascadeType, PatchType

from tests.node.one_node import OneNode, until
from tests.node.python_clients import manifests


@pytest.fixture
def client(config: str) -> Iterator[lightkube.Client]:
    with lightkube.Client(lightkube.KubeConfig.from_file(config).get()) as client:
        yield client


@pytest.fixture
def namespace(client: lightkube.Client) -> Iterator[str]:
    made = client.create(core.Namespace(metadata=ObjectMeta(generateName="light-")))
    assert made.metadata
    name = made.metadata.name
    assert name
    until(lambda: list(client.list(core.ServiceAccount, namespace=name)), "it has its service account")
    yield name
    client.delete(core.Namespace, name)


def config_map(name: str, namespace: str, **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data=data)


def names(found: object) -> list[str]:
    return [one.metadata.name for one in found]  # type: ignore[attr-defined]


KINDS = (
    core.Pod, core.ReplicationController, core.Service, core.Endpoints, core.ConfigMap, core.Secret,
    core.ServiceAccount, core.LimitRange, core.ResourceQuota, core.PersistentVolumeClaim, core.PodTemplate,
)  # fmt: skip


def replaced(client: lightkube.Client, kind: Any, namespace: str) -> Any:
    """x, read, changed and put back; once more when a controller was faster."""
    while True:
        found = client.get(kind, "x", namespace=namespace)
        found.metadata.labels = {"seen": "yes"}
        try:
            return client.replace(found)
        except ApiError as refused:
            if refused.status.code != 409:
                raise


class TestObjects:
    def test_every_kind(self, client: lightkube.Client, namespace: str) -> None:
        for kind, rest in zip(KINDS, manifests.NAMESPACED.values(), strict=True):
            made = client.create(kind.from_dict({"metadata": {"name": "x"}, **rest}), namespace=namespace)
            assert client.get(kind, "x", namespace=namespace).metadata.uid == made.metadata.uid
            assert "x" in names(client.list(kind, namespace=namespace))
            assert "x" in names(client.list(kind, namespace="*", fields={"metadata.name": "x"}))
            assert replaced(client, kind, namespace).metadata.labels == {"seen": "yes"}
            client.delete(kind, "x", namespace=namespace, grace_period=0, cascade=CascadeType.BACKGROUND)
            until(lambda: not list(client.list(kind, namespace=namespace, labels={"seen": "yes"})), "gone")  # noqa: B023

    def test_selectors_pages_and_collections(self, client: lightkube.Client, namespace: str) -> None:
        for number in range(5):
            labels = {"n": str(number), "even": str(number % 2 == 0)}
            meta = ObjectMeta(name=f"m{number}", namespace=namespace, labels=labels)
            client.create(core.ConfigMap(metadata=meta))
        listed = client.list(core.ConfigMap, namespace=namespace, chunk_size=2)
        assert names(listed) == [f"m{number}" for number in range(5)]
        assert names(client.list(core.ConfigMap, namespace=namespace, labels={"n": ["1", "3"]})) == ["m1", "m3"]
        client.deletecollection(core.ConfigMap, namespace=namespace)
        assert names(client.list(core.ConfigMap, namespace=namespace)) == []

    def test_patches_and_apply(self, client: lightkube.Client, namespace: str) -> None:
        client.apply(config_map("m", namespace, a="1"), field_manager="me")
        assert client.apply(config_map("m", namespace, a="2"), field_manager="me", force=True).data == {"a": "2"}
        patch = client.patch
        assert patch(core.ConfigMap, "m", {"data": {"b": "3"}}, namespace=namespace).data == {"a": "2", "b": "3"}
        merge = patch(core.ConfigMap, "m", {"data": {"a": None}}, namespace=namespace, patch_type=PatchType.MERGE)
        assert merge.data == {"b": "3"}
        steps = [{"op": "replace", "path": "/data/b", "value": "4"}]
        assert patch(core.ConfigMap, "m", steps, namespace=namespace, patch_type=PatchType.JSON).data == {"b": "4"}
        client.create(config_map("dry", namespace), dry_run=True)
        assert names(client.list(core.ConfigMap, namespace=namespace)) == ["m"]

    def test_subresources(self, client: lightkube.Client, namespace: str) -> None:
        client.create(core.ReplicationController.from_dict(manifests.controller("rc")), namespace=namespace)
        scaled = client.patch(core.ReplicationControllerScale, "rc", {"spec": {"replicas": 1}}, namespace=namespace)
        assert scaled.spec
        assert scaled.spec.replicas == 1
        client.create(core.Pod.from_dict(manifests.pod("p")), namespace=namespace)
        found = client.patch(core.PodStatus, "p", {"status": {"message": "m"}}, namespace=namespace)
        assert found.status
        assert found.status.message == "m"
        binding = core.Binding(metadata=ObjectMeta(name="p"), target=models.ObjectReference(kind="Node", name="n"))
        with pytest.raises(Exception, match="missing required field `target`"):
            client.create(binding, namespace=namespace)  # bound, and answered by a Status as the real ones do
        assert names(client.list(core.Pod, namespace=namespace, fields={"spec.nodeName": "n"})) == ["p"]
        client.create(core.PodEviction(metadata=ObjectMeta(name="p")), "p", namespace=namespace)
        until(lambda: "p" not in names(client.list(core.Pod, namespace=namespace)), "it is evicted")

    def test_refusals(self, client: lightkube.Client) -> None:
        with pytest.raises(ApiError, match='pods "nope" not found') as refused:
            client.get(core.Pod, "nope", namespace="default")
        assert refused.value.status.code == 404
        with pytest.raises(ApiError) as refused:
            client.create(core.Namespace(metadata=ObjectMeta(name="default")))
        assert refused.value.status.reason == "AlreadyExists"


class TestWatch:
    def test_resumes_without_loss(self, client: lightkube.Client, namespace: str) -> None:
        listed = client.list(core.ConfigMap, namespace=namespace)
        assert list(listed) == []
        for number in range(4):
            client.create(config_map(f"m{number}", namespace))
        seen, version = [], listed.resourceVersion
        for _ in range(2):
            for operation, found in client.watch(core.ConfigMap, namespace=namespace, resource_version=version):
                assert found.metadata
                seen.append((operation, found.metadata.name))
                version = found.metadata.resourceVersion or ""
                if len(seen) % 2 == 0:
                    break
        assert seen == [("ADDED", f"m{number}") for number in range(4)]

    def test_wait(self, client: lightkube.Client, running: str) -> None:
        found = client.wait(core.Pod, running, namespace="default", for_conditions=["Ready", "ContainersReady"])
        assert found.status
        assert found.status.phase == "Running"


class TestStreams:
    def test_logs(self, client: lightkube.Client, running: str) -> None:
        assert list(client.log(running, namespace="default", container="c")) == ["up\n"]
        assert next(client.log(running, namespace="default", container="c", follow=True)) == "up\n"
        with pytest.raises(ApiError, match="a container name must be specified"):
            client.log(running, namespace="default")

    def test_exec(self, client: lightkube.Client, running: str) -> None:
        def execute(*command: str, **options: object) -> object:
            return client.exec(  # type: ignore[call-overload]
                running, namespace="default", container="c", command=command, stdout=True, **options
            )

        done = execute("sh", "-c", "echo out; echo err >&2; exit 3", stderr=True)
        assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 3)
        assert execute("wc", "-c", stdin=io.BytesIO(b"x" * 1_000_000)).stdout == "1000000\n"
        assert execute("wc", "-c", stdin=b"x" * 3_000_000).stdout == "3000000\n"  # in one message
        assert len(execute("head", "-c", "3000000", "/dev/zero", decode=None).stdout) == 3_000_000
        with pytest.raises(ApiError, match="exit status 3"):
            execute("sh", "-c", "exit 3", raise_on_error=True)


async def test_asynchronously(config: str, running: str, node: OneNode) -> None:
    async with lightkube.AsyncClient(lightkube.KubeConfig.from_file(config).get()) as client:
        assert [found.metadata.name async for found in client.list(core.Node)] == [node.name]
        done = await client.exec(running, namespace="default", container="c", command=["echo", "hi"], stdout=True)
        assert done.stdout == "hi\n"
        async for line in client.log(running, namespace="default", container="c", follow=True):
            assert line == "up\n"
            break
