"""What a worker tells of its pod, beside doing what was planned."""

from pathlib import Path

from labkit.components.kubelet.actions import Memory
from labkit.components.kubelet.fake import FakeRuntime, Program
from labkit.components.kubelet.setbacks import Setbacks
from tests.unit.components.kubelet.one_node import OneNode, one_node

FORKS = Program(forks=True)


async def crowds(node: OneNode, name: str) -> list[str]:
    return [text for reason, path, text in await node.events(name) if reason == "tooManyProcesses"]


async def test_who_wants_more_processes_is_told_of_once(tmp_path: Path) -> None:
    fake = FakeRuntime("n1", program=lambda config: FORKS if config.command else Program())
    async with one_node(fake, tmp_path, pod_max_pids=7, relist_seconds=0.1) as node:
        await node.create({"command": ["x"]}, {"name": "d"}, name="forks")
        await node.create(name="quiet")
        text = "fork refused: 7 processes and threads are all that it may have (--pod-max-pids)"
        await node.told("tooManyProcesses", "spec.containers{c}", text, "forks")
        fake.exit("forks", "d")  # a cause to look again
        await node.status(lambda status: status.container_statuses[1].restart_count == 1, "forks")
        assert await crowds(node, "forks") == [text]
        assert await crowds(node, "quiet") == []


async def test_without_a_bound_nobody_is_told_of(tmp_path: Path) -> None:
    async with one_node(FakeRuntime("n1", program=lambda config: FORKS), tmp_path) as node:
        await node.create()
        await node.status(lambda status: status.phase == "Running")
        await node.told("started", "spec.containers{c}", "Started")
        assert await crowds(node, "p") == []


def test_a_new_pause_container_is_a_new_try() -> None:
    """For what docker could not start without the one that died; an image that is not there stays away."""
    memory = Memory()
    setbacks = Setbacks(memory)
    setbacks.until("c", "RunContainerError", "cannot join the network of a container that is gone", 99.0)
    setbacks.set("d", "ErrImagePull", "no such image")
    setbacks.clear_starts()
    assert set(memory.setbacks) == {"d"}
    assert setbacks.failed_before("d")
