"""A volume of a real GlusterFS under pods of a real docker: mounted over FUSE by the kubelet, and ended by it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from labkit.api.types import Pod
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.mounts import LinuxMounts
from labkit.testing.eventually import eventually
from tests.node.glusterd import Glusterd, glusterd, lacks
from tests.node.pod_images import PAUSE, pod_images
from tests.node.test_kubelet import STAYS, inside, running
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import OneNode, one_node
from tests.unit.components.kubelet.test_claims import CLAIMED, GLUSTER, bind, servers

pytestmark = [pytest.mark.timeout(180), pytest.mark.skipif(bool(lacks()), reason=lacks())]
WRITES = STAYS | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
FUSE = "fuse.glusterfs"


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    name = "gluster-test-" + tmp_path.name.replace("_", "-")
    with pod_images():
        yield name
        remove_containers_of(name)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Glusterd]:
    async with glusterd(tmp_path / "server") as server:
        yield server


@pytest.fixture
async def node(name: str, tmp_path: Path, server: Glusterd) -> AsyncIterator[OneNode]:
    mounts = LinuxMounts()
    try:
        async with one_node(Docker(SOCKET, name), tmp_path / "kubelet", within=40, mounts=mounts, node=name,
                            pause_image=PAUSE, relist_seconds=10.0) as node:  # fmt: skip
            await servers(node, server.address)
            yield node
    finally:
        for mounted in mounts.below(tmp_path):
            await mounts.detach(mounted.path)


def fuse_mounts(folder: Path) -> list[Path]:
    return [mounted.path for mounted in LinuxMounts().below(folder) if mounted.type == FUSE]


async def test_what_a_pod_wrote_outlives_it(node: OneNode, server: Glusterd, tmp_path: Path) -> None:
    """Through a claim; a restart of the kubelet leaves the mount alone, and the end of the pod ends it."""
    await bind(node)
    pod = await node.create(WRITES, volumes=[CLAIMED], name="first")
    await node.status(running, "first")
    place = tmp_path / "kubelet/pods" / pod.metadata.uid / "volumes/kubernetes.io~glusterfs/v"
    assert fuse_mounts(tmp_path) == [place]
    assert await inside(node, "sh", "-c", "echo one >> /v/log; cat /v/log") == "one\n"
    assert (server.brick / "log").read_text() == "one\n"

    await node.end_kubelet()
    assert await inside(node, "sh", "-c", "echo two >> /v/log; cat /v/log") == "one\ntwo\n"
    node.start_kubelet()
    await node.client.delete(Pod, "first", "default", grace_period_seconds=0)
    await node.gone("first")
    await eventually(lambda: fuse_mounts(tmp_path) == [] and not place.exists(), 30)

    await node.create(WRITES, volumes=[CLAIMED], name="second")
    await node.status(running, "second")
    assert await inside(node, "cat", "/v/log") == "one\ntwo\n"


async def test_a_volume_that_is_not_there_and_a_server_that_dies(
    node: OneNode, server: Glusterd, tmp_path: Path
) -> None:
    wrong = {"name": "v", "glusterfs": GLUSTER["glusterfs"] | {"path": "nothing"}}
    await node.create(WRITES, volumes=[wrong], name="wrong")
    await node.told("failedMount", "", 'Unable to mount volumes for pod "wrong_default": volume "v": mount', "wrong")
    await node.create(WRITES, volumes=[{"name": "v", **GLUSTER}], name="right")
    await node.status(running, "right")
    server.kill()
    for name in ("wrong", "right"):
        await node.client.delete(Pod, name, "default", grace_period_seconds=0)
    for name in ("wrong", "right"):  # no server is needed to end it
        await node.gone(name)
    await eventually(lambda: fuse_mounts(tmp_path) == [], 30)
    await eventually(lambda: list((tmp_path / "kubelet/pods").iterdir()) == [], 30)
