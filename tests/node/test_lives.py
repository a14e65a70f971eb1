"""The recorded lives of pods on this machine's docker, all at once on one kubelet."""

import asyncio
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


async def play(life: Life, node: OneNode) -> tuple[list[str], list[tuple[str, str]]]:
    """The status that a pod comes to, and the events that it lacks."""
    pod = lives.pod_of(life, node.settings.node, BUSYBOX)
    if "activeDeadlineSeconds" in pod["spec"]:  # twenty pods at once take docker a while
        pod["spec"]["activeDeadlineSeconds"] *= 6
    await node.client.create(msgspec.convert(pod, Pod))
    seen: list[str] = []

    async def become() -> bool:
        nonlocal seen
        seen = lives.seen_of(await node.client.get(Pod, life.name, "default"))
        return seen == list(life.becomes) and lives.missing(life, await node.events(life.name)) == []

    try:
        await eventually(become, within=60, every=0.1)
    except AssertionError:
        pass
    return seen, lives.missing(life, await node.events(life.name))


async def test_all_lives(name: str, tmp_path: Path) -> None:
    async with one_node(Docker(SOCKET, name), tmp_path, node=name, pause_image=PAUSE, relist_seconds=10.0) as node:
        played = await asyncio.gather(*(play(life, node) for life in LIVES))
    assert dict(zip([life.name for life in LIVES], played, strict=True)) == {
        life.name: (list(life.becomes), []) for life in LIVES
    }
