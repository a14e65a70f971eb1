"""What the kubelet clears away on this machine's docker: ended containers, and images when the disk is nearly full."""

import subprocess
from pathlib import Path

import pytest

from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.garbage import Keeping
from labkit.components.kubelet.runtime import Disk, Image
from labkit.testing.eventually import eventually
from tests.node.pod_images import BUSYBOX, PAUSE, PREFIX, pod_images
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import one_node

pytestmark = pytest.mark.timeout(120)
UNUSED = f"{PREFIX}/unused:1"


class NearlyFull(Docker):
    """This test's images are all that there are, on a disk that is 95 % full: other images are not ours to remove."""

    async def images(self) -> list[Image]:
        return [image for image in await super().images() if any(name.startswith(PREFIX) for name in image.names)]

    async def disk(self) -> Disk:
        return Disk(100 << 30, 5 << 30)


def names() -> set[str]:
    command = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={PREFIX}/*"]
    return set(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split())


async def test_ended_containers_and_images_that_nobody_uses(tmp_path: Path) -> None:
    """One ended container of each name stays, and every image that a container has; the rest goes, and it is said that
    it was not enough."""
    name = "garbage-test-" + tmp_path.name.replace("_", "-")
    keeping = Keeping(youngest=0.0, of_name=0, high=90, low=80)
    with pod_images():
        recipe = f"FROM {BUSYBOX}\nENV UNUSED=1\n".encode()
        build = ["docker", "build", "-q", "-t", UNUSED, "-"]
        subprocess.run(build, input=recipe, capture_output=True, timeout=60, check=True)  # noqa: ASYNC221
        try:
            async with one_node(NearlyFull(SOCKET, name), tmp_path, within=40, node=name, pause_image=PAUSE,
                                relist_seconds=10.0, keeping=keeping) as node:  # fmt: skip
                await node.create({"image": BUSYBOX, "command": ["true"]})
                await node.status(lambda s: bool(s.container_statuses) and s.container_statuses[0].restart_count == 1)

                async def second_ended() -> bool:
                    return "exited" in [c.state for c in await node.containers("c") if c.attempt == 1]

                await eventually(second_ended, 20)
                assert UNUSED in names()
                await node.kubelet.collector.collect()
                assert names() == {BUSYBOX, PAUSE}
                left = [c.attempt for c in await node.containers("c")]
                assert left, "the last one stays"
                assert 0 not in left
                await node.told("freeDiskSpaceFailed", "", "failed to garbage collect required amount of images", name)
        finally:
            remove_containers_of(name)
            subprocess.run(["docker", "image", "rm", "-f", UNUSED], capture_output=True, timeout=60, check=False)  # noqa: ASYNC221
