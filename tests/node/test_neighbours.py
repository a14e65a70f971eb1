"""Pods that behave badly, on this machine's docker: who floods its log or forks without end hurts only itself."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from labkit.api.types import PodStatus
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.docker_words import LOG_BOUNDS
from labkit.components.kubelet.mounts import LinuxMounts
from labkit.components.kubelet.runtime import LogOptions
from labkit.testing.eventually import eventually
from tests.node.pod_images import BUSYBOX, PAUSE, pod_images
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import OneNode, one_node

pytestmark = pytest.mark.timeout(180)
PIDS = 30
FLOOD = 50_000_000  # bytes, more than twice what docker may keep
KEPT = int(LOG_BOUNDS["max-size"].rstrip("m")) * int(LOG_BOUNDS["max-file"]) * 1_100_000  # a line may be over the edge
QUIET = {"image": BUSYBOX, "command": ["sleep", "1000"]}
FORKS = "while true; do sleep 1000 & done"


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    name = "kubelet-test-" + tmp_path.name.replace("_", "-")
    with pod_images():
        yield name
        remove_containers_of(name)


@pytest.fixture
async def node(name: str, tmp_path: Path) -> AsyncIterator[OneNode]:
    """With a pod on it that does no harm and is asked each second whether it is well."""
    async with one_node(Docker(SOCKET, name), tmp_path, within=60, node=name, pause_image=PAUSE, relist_seconds=10.0,
                        pod_max_pids=PIDS, mounts=LinuxMounts()) as node:  # fmt: skip
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 20}
        await node.create(QUIET | {"readinessProbe": probe, "livenessProbe": probe}, name="quiet")
        await node.status(well, "quiet")
        yield node


def well(status: PodStatus) -> bool:
    return status.phase == "Running" and all(c.ready and c.restart_count == 0 for c in status.container_statuses)


async def others_are_well(node: OneNode) -> None:
    """The pod that was there, and one that comes now."""
    await node.create(QUIET, name="late")
    await node.status(well, "late")
    await node.status(well, "quiet")
    assert "killing" not in {reason for reason, _, _ in await node.events("quiet")}


def log_bytes(container_id: str) -> int:
    """On docker's disk, the files that were turned over included."""
    shown = subprocess.run(
        ["docker", "inspect", "-f", "{{.LogPath}}", container_id],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    path = Path(shown.stdout.strip())
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


async def test_who_floods_its_log(node: OneNode) -> None:
    """What docker keeps of it is bounded, and the end of it can still be read."""
    flood = f"yes 0123456789012345678901234567890123456789 | head -c {FLOOD}; echo; echo the end; exec sleep 1000"
    await node.create({"image": BUSYBOX, "command": ["sh", "-c", flood]}, name="flood")
    await node.status(well, "flood")
    await others_are_well(node)
    (flooding,) = [c for c in await node.containers("c") if c.pod == "default/flood"]

    async def said_all() -> bool:
        chunks = [chunk async for chunk in node.runtime.logs(flooding.id, LogOptions(tail=1))]
        return b"".join(chunks).endswith(b"the end\n")

    await eventually(said_all, within=60, every=0.5)
    assert 0 < await asyncio.to_thread(log_bytes, flooding.id) < KEPT
    await node.status(well, "quiet")


@pytest.mark.parametrize("goes_on", [False, True], ids=["gives up", "goes on"])
async def test_who_forks_without_end(node: OneNode, goes_on: bool) -> None:
    """The kernel refuses it more processes than --pod-max-pids; an event says so, whether it ends of it or tries on."""
    command = f"while true; do ({FORKS}); done" if goes_on else FORKS
    await node.create({"image": BUSYBOX, "command": ["sh", "-c", command]}, name="forks", restartPolicy="Never")
    if goes_on:
        await node.status(well, "forks")
    else:
        ended = await node.status(lambda status: status.phase == "Failed", "forks")
        assert ended.container_statuses[0].state.terminated is not None
    text = f"fork refused: {PIDS} processes and threads are all that it may have (--pod-max-pids)"
    await node.told("tooManyProcesses", "spec.containers{c}", text, "forks")
    (forking,) = [c for c in await node.containers("c") if c.pod == "default/forks"]
    log = b"".join([chunk async for chunk in node.runtime.logs(forking.id, LogOptions())])
    assert b"can't fork" in log
    await others_are_well(node)
    assert "tooManyProcesses" not in {reason for reason, _, _ in await node.events("quiet")}
