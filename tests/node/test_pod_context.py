"""What the containers of a pod share, and what they have of the machine: namespaces, on this machine's docker."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from labkit.api.types import PodStatus
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.mounts import LinuxMounts
from tests.node.pod_images import PAUSE, pod_images
from tests.node.test_kubelet import STAYS, both_run, inside
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import OneNode, one_node

pytestmark = pytest.mark.timeout(120)
KINDS = ("net", "ipc", "pid", "uts")
TWO = (STAYS | {"name": "a"}, STAYS | {"name": "b"})


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[OneNode]:
    name = "context-test-" + tmp_path.name.replace("_", "-")
    with pod_images():
        try:
            async with one_node(Docker(SOCKET, name), tmp_path, within=40, node=name, pause_image=PAUSE,
                                relist_seconds=10.0, mounts=LinuxMounts()) as node:  # fmt: skip
                yield node
        finally:
            remove_containers_of(name)


async def namespaces(node: OneNode, name: str) -> dict[str, str]:
    """Which one a container's first process is in, of each kind."""
    (container,) = [c for c in await node.containers(name) if c.running]
    return of_process(str(container.pid))


def of_process(pid: str) -> dict[str, str]:
    return {kind: str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in KINDS}


async def test_what_two_containers_share(node: OneNode) -> None:
    """Network and IPC by docker's own namespaces, the hostname by its text; each has its own processes."""
    await node.create(*TWO, name="web")
    await node.status(both_run, "web")
    a, b = await namespaces(node, "a"), await namespaces(node, "b")
    assert (a["net"], a["ipc"]) == (b["net"], b["ipc"])
    assert a["pid"] != b["pid"]
    assert await inside(node, "hostname", container="a") == await inside(node, "hostname", container="b") == "web\n"
    assert not set(a.values()) & set(of_process("self").values())


async def test_processes_on_request(node: OneNode) -> None:
    """Process 1 is the pause container's; each sees the processes of the other. Docker of 2015 could not."""
    await node.create(*TWO, shareProcessNamespace=True)
    await node.status(both_run)
    a, b = await namespaces(node, "a"), await namespaces(node, "b")
    assert a["pid"] == b["pid"] != of_process("self")["pid"]
    seen = await inside(node, "ps", "-o", "args", container="a")
    assert seen.count("trap 'exit 0' TERM") == 2


async def test_those_of_the_machine(node: OneNode) -> None:
    await node.create(STAYS, hostNetwork=True, hostIPC=True, hostPID=True)

    def runs(status: PodStatus) -> bool:
        return status.phase == "Running" and status.pod_ip == status.host_ip == "127.0.0.1"

    await node.status(runs)
    found, machine = await namespaces(node, "c"), of_process("self")
    assert [found[kind] for kind in ("net", "ipc", "pid")] == [machine[kind] for kind in ("net", "ipc", "pid")]
    assert str(os.getpid()) in (await inside(node, "ps", "-o", "pid")).split()
    assert await inside(node, "hostname") == f"{os.uname().nodename}\n"
