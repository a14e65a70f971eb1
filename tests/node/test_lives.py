"""The recorded lives of pods on this machine's docker, all at once on one kubelet."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from labkit.api.types import Pod
from labkit.components.kubelet.docker import Docker
from labkit.testing.eventually import eventually
from tests import lives
from tests.lives import LIVES, Life
from tests.node.pod_images import BUSYBOX, PAUSE, pod_images
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import OneNode, one_node

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    name = "kubelet-test-" + tmp_path.name.replace("_", "-")
    with pod_images():
        yield name
        remove_containers_of(name)


async def play(life: Life, node: OneNode) -> tuple[list[str], set[str]]:
    """The status that a pod comes to, and the events that are told of it."""
    pod = lives.pod_of(life, node.settings.node, BUSYBOX)
    if "activeDeadlineSeconds" in pod["spec"]:  # twenty pods at once take docker a while
        pod["spec"]["activeDeadlineSeconds"] *= 6
    await node.client.create(msgspec.convert(pod, Pod))
    seen: list[str] = []

    async def become() -> bool:
        nonlocal seen
        seen = lives.seen_of(await node.client.get(Pod, life.name, "default"))
        return seen == list(life.becomes)

    async def all_told() -> bool:
        return lives.told(await node.events(life.name)) == life.all_events

    with contextlib.suppress(AssertionError):  # what it came to instead is compared below, with all the others
        await eventually(become, within=60, every=0.1)
        if life.deleted:
            await node.client.delete(Pod, life.name, "default")
        await eventually(all_told, within=30, every=0.1)
    return seen, lives.told(await node.events(life.name))


async def test_all_lives(name: str, tmp_path: Path) -> None:
    async with one_node(Docker(SOCKET, name), tmp_path, node=name, pause_image=PAUSE, relist_seconds=10.0) as node:
        played = await asyncio.gather(*(play(life, node) for life in LIVES))
    assert dict(zip([life.name for life in LIVES], played, strict=True)) == {
        life.name: (list(life.becomes), life.all_events) for life in LIVES
    }
