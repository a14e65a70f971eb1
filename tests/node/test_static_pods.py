"""Static pods on this machine's docker: from a directory and from a URL, shown to the API server by their mirrors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from labkit.api.errors import NotFound
from labkit.api.types import Pod
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.mounts import LinuxMounts
from labkit.components.kubelet.static_pods import MIRROR
from labkit.testing.eventually import eventually
from tests.node.pod_images import BUSYBOX, PAUSE, pod_images
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import OneNode, one_node

pytestmark = pytest.mark.timeout(120)
MANIFEST = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: NAME}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: c, image: {BUSYBOX}, command: [sleep, "1000"]}}]
"""


@asynccontextmanager
async def served(text: str) -> AsyncIterator[str]:
    """The URL of a text."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/pods", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/pods"
    finally:
        await runner.cleanup()


async def mirror(node: OneNode, name: str) -> Pod | None:
    """Once it shows a pod that runs."""
    try:
        found = await node.client.get(Pod, f"{name}-{node.settings.node}", "default")
    except NotFound:
        return None
    return found if found.status.phase == "Running" else None


async def test_from_a_directory_and_a_url(tmp_path: Path) -> None:
    """A file that cannot be read harms neither; the end of a file is the end of its pod, and of its mirror."""
    name = "static-test-" + tmp_path.name.replace("_", "-")
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "one.yaml").write_text(MANIFEST.replace("NAME", "from-file"))
    (manifests / "two.yaml").write_text(MANIFEST.replace("NAME", "[oops"))
    with pod_images():
        try:
            async with served(MANIFEST.replace("NAME", "from-url")) as url, one_node(
                Docker(SOCKET, name), tmp_path / "root", within=40, node=name, pause_image=PAUSE, relist_seconds=10.0,
                mounts=LinuxMounts(), manifests=manifests, manifest_url=url, file_check_seconds=0.2,
            ) as node:  # fmt: skip
                for pod, source in (("from-file", "file"), ("from-url", "http")):
                    seen = await eventually(lambda pod=pod: mirror(node, pod), 40)
                    assert seen.metadata.annotations["kubernetes.io/config.source"] == source
                    (container,) = [c for c in await node.containers("c") if c.pod == f"default/{pod}-{name}"]
                    assert (container.running, seen.metadata.annotations[MIRROR]) == (True, container.pod_uid)
                await node.told("invalidManifest", "", f"{manifests}/two.yaml:3: ", name)
                (manifests / "one.yaml").unlink()
                await node.gone(f"from-file-{name}")
                assert await mirror(node, "from-url") is not None
        finally:
            remove_containers_of(name)
