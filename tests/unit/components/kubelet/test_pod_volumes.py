"""The kubelet on the twin of docker: what pods get from secrets and config maps, and what happens where they lack."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit.api.errors import Forbidden, ServerUnavailable
from labkit.api.types import ConfigMap, Pod, Secret, copy
from labkit.components.kubelet import act, git_repo, pod_volumes
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.runtime import ContainerConfig, Mount
from labkit.components.kubelet.sources import Reference, SourceFailure, Sources
from labkit.testing.eventually import eventually
from tests.unit.components.kubelet.one_node import OneNode, one_node
from tests.unit.components.kubelet.test_kubelet import message_of, running, waiting

MOUNT = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
SECRET = {"name": "v", "secret": {"secretName": "db"}}
VARIABLE = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OneNode]:
    monkeypatch.setattr(act, "FIRST_BACKOFF", 0.3)
    async with one_node(FakeRuntime("n1"), tmp_path, sync_seconds=0.3) as node:
        yield node


async def secret(node: OneNode, **data: str) -> Secret:
    meta = {"name": "db", "namespace": "default"}
    return await node.client.create(msgspec.convert({"metadata": meta, "stringData": data}, Secret))


async def told(node: OneNode, event: tuple[str, str, str]) -> bool:
    return event in await node.events()


def config_of(node: OneNode) -> ContainerConfig:
    """What container c of pod p was made of."""
    assert isinstance(node.runtime, FakeRuntime)
    (config,) = [c for c in node.runtime.configs() if c.name.startswith("k8s_c.") and "_p_default_" in c.name]
    return config


async def test_a_pod_waits_for_its_secret(node: OneNode) -> None:
    await node.create(MOUNT, volumes=[SECRET])
    await node.create(name="other")
    status = await node.status(lambda s: waiting("ContainerCreating")(s) and message_of(s))
    why = 'volume "v": secret "db" not found: create it, or set optional: true'
    assert message_of(status) == f"volumes: {why}"
    event = ("failedMount", "", f'Unable to mount volumes for pod "p_default": {why}')
    await eventually(lambda: told(node, event))
    await node.status(running, "other")
    await secret(node, password="s3cret")
    await node.status(running)
    (mount,) = [m for m in config_of(node).mounts if m.target == "/v"]
    assert mount == Mount(mount.source, "/v", read_only=True)
    assert Path(mount.source, "password").read_text() == "s3cret"


async def test_a_changed_secret_gets_into_the_files(node: OneNode) -> None:
    made = await secret(node, password="old")
    pod = await node.create(MOUNT, volumes=[SECRET])
    await node.status(running)
    file = node.settings.root_dir / "pods" / pod.metadata.uid / "volumes/kubernetes.io~secret/v/password"
    assert file.read_text() == "old"
    made.data["password"] = b"new"
    await node.client.update(made)
    await eventually(lambda: file.read_text() == "new")
    await node.client.delete(Secret, "db", "default")

    why = 'volume "v": secret "db" not found: create it, or set optional: true'
    await eventually(lambda: told(node, ("failedMount", "", f'Unable to mount volumes for pod "p_default": {why}')))
    assert file.read_text() == "new"
    await node.status(running)
    await node.client.delete(Pod, "p", "default", grace_period_seconds=0)
    await node.gone()
    await eventually(lambda: not file.exists())


async def test_labels_are_told_at_once(tmp_path: Path) -> None:
    async with one_node(FakeRuntime("n1"), tmp_path, sync_seconds=60.0) as node:
        await labels_are_told(node)


async def labels_are_told(node: OneNode) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    volumes = [{"name": "v", "downwardAPI": {"items": items}}]
    pod = await node.create(MOUNT, volumes=volumes, metadata={"labels": {"a": "1"}})
    await node.status(running)
    file = node.settings.root_dir / "pods" / pod.metadata.uid / "volumes/kubernetes.io~downward-api/v/labels"
    assert file.read_text() == 'a="1"'
    changed = copy(await node.client.get(Pod, "p", "default"))
    changed.metadata.labels = {"a": "2"}
    await node.client.update(changed)
    await eventually(lambda: file.read_text() == 'a="2"', 2)


async def test_a_variable_that_lacks_its_key(node: OneNode) -> None:
    made = await secret(node, user="root")
    await node.create({"env": [VARIABLE]})
    status = await node.status(waiting("CreateContainerConfigError"))
    why = 'couldn\'t find key password in secret "db" (there: user): add it, or set optional: true'
    assert message_of(status) == why
    await eventually(lambda: told(node, ("failed", "spec.containers{c}", f"Error: {why}")))
    made.data["password"] = b"s3cret"
    await node.client.update(made)
    await node.status(running)
    assert ("PASSWORD", "s3cret") in config_of(node).env


async def test_a_part_that_is_not_there(node: OneNode) -> None:
    await secret(node, user="root")
    part = {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "password"}]}
    await node.create(part, volumes=[SECRET])
    status = await node.status(waiting("CreateContainerConfigError"))
    assert message_of(status) == "volume \"v\": subPath 'password' is not in it (there: user)"


async def test_keys_that_are_no_names_are_told(node: OneNode) -> None:
    data = {"GOOD": "1", "bad-key": "2"}
    await node.client.create(
        msgspec.convert({"metadata": {"name": "m", "namespace": "default"}, "data": data}, ConfigMap)
    )
    await node.create({"envFrom": [{"configMapRef": {"name": "m"}}]})
    await node.status(running)
    names = [name for name, _ in config_of(node).env]
    assert "GOOD" in names
    assert "bad-key" not in names
    message = 'not the name of a variable, left out of envFrom: bad-key of configmap "m"'
    await eventually(lambda: told(node, ("invalidEnvironmentVariableNames", "spec.containers{c}", message)))


async def test_a_slow_clone_holds_up_nobody_and_not_its_own_end(node: OneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = asyncio.Event()

    async def slow(source: Any, path: Path) -> None:
        await wanted.wait()
        path.mkdir(parents=True)

    monkeypatch.setattr(git_repo, "clone", slow)
    monkeypatch.setattr(pod_volumes, "PATIENCE", 0.05)
    repository = [{"name": "v", "gitRepo": {"repository": "https://h/r"}}]
    for name in ("cloned", "deleted"):
        await node.create(MOUNT, volumes=repository, name=name)
        await node.status(lambda s: waiting("ContainerCreating")(s) and message_of(s) == "volumes are being made", name)
    await node.create(name="other")
    await node.status(running, "other")
    await node.client.delete(Pod, "deleted", "default", grace_period_seconds=0)
    await node.gone("deleted")
    wanted.set()
    await node.status(running, "cloned")


async def test_a_kubelet_that_comes_back_keeps_files_current(node: OneNode) -> None:
    made = await secret(node, password="old")
    pod = await node.create(MOUNT, volumes=[SECRET])
    await node.status(running)
    await node.end_kubelet()
    made.data["password"] = b"new"
    await node.client.update(made)
    node.start_kubelet()
    file = node.settings.root_dir / "pods" / pod.metadata.uid / "volumes/kubernetes.io~secret/v/password"
    await eventually(lambda: file.read_text() == "new")


class TestSources:
    class Api:
        """Counts what is asked for; `error` is raised in place of an answer."""

        def __init__(self) -> None:
            self.asked = 0
            self.error: Exception | None = None

        async def get(self, kind: type[Secret], name: str, namespace: str) -> Secret:
            self.asked += 1
            if self.error:
                raise self.error
            return Secret(data={"n": str(self.asked).encode()})

    REFERENCE = Reference(Secret, "db")

    async def read(self, sources: Sources, since: float | None = None) -> bytes:
        found = await sources.read([self.REFERENCE], "default", *([] if since is None else [since]))
        source = found[self.REFERENCE]
        assert isinstance(source, Secret)
        return source.data["n"]

    async def test_asked_for_once_in_a_round(self) -> None:
        sources = Sources(self.Api())  # type: ignore[arg-type]
        round_began = time.monotonic()
        assert [await self.read(sources, round_began) for _ in range(3)] == [b"1"] * 3
        assert await self.read(sources) == b"2"  # a container starts
        assert await self.read(sources, time.monotonic()) == b"3"

    async def test_what_was_read_last_is_good_enough_while_the_server_is_away(self) -> None:
        api = self.Api()
        sources = Sources(api)  # type: ignore[arg-type]
        assert await self.read(sources) == b"1"
        api.error = ServerUnavailable("away")
        assert await self.read(sources) == b"1"
        sources.keep(set())
        with pytest.raises(SourceFailure, match='cannot read secret "db" in namespace default: away'):
            await self.read(sources)

    async def test_what_may_not_be_read_is_not_what_was_read_last(self) -> None:
        api = self.Api()
        sources = Sources(api)  # type: ignore[arg-type]
        await self.read(sources)
        api.error = Forbidden("no")
        with pytest.raises(SourceFailure, match="no"):
            await self.read(sources)
