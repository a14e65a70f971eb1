"""Disk space: who took more than he may, and what happens when there is none left."""

from pathlib import Path
from typing import Any

import pytest

from labkit.api.types import Node, Pod, PodStatus
from labkit.components.kubelet.disks import overdrawn, size_of
from labkit.components.kubelet.fake import FakeRuntime, Program
from labkit.testing.eventually import eventually
from tests.unit.components.kubelet.one_node import one_node
from tests.unit.components.kubelet.pods import pod

MEBI = 1 << 20


def of(limit: str = "", size_limit: str = "", medium: str = "") -> Pod:
    limits = {"resources": {"limits": {"ephemeral-storage": limit}}} if limit else {}
    empty: dict[str, Any] = {"medium": medium} | ({"sizeLimit": size_limit} if size_limit else {})
    return pod({"name": "c", "image": "i"} | limits, volumes=[{"name": "v", "emptyDir": empty}])


class TestOverdrawn:
    @pytest.mark.parametrize(
        ("asked", "wrote", "holds", "allowance", "who"),
        [
            (of(), 900, 900, 0, ""),
            (of(), 10, 10, 10, ""),
            (of(), 11, 0, 10, 'container "c" wrote 11.0 MiB, its allowance is 10.0 MiB'),
            (of(), 0, 11, 10, 'emptyDir "v" holds 11.0 MiB, its allowance is 10.0 MiB'),
            (of(limit="20Mi"), 19, 0, 10, ""),
            (of(limit="20Mi"), 21, 0, 0, 'container "c" wrote 21.0 MiB'),
            (of(size_limit="20Mi"), 0, 21, 0, 'emptyDir "v" holds 21.0 MiB'),
            (of(medium="Memory"), 0, 900, 10, ""),  # its bound is that of the memory
        ],
    )
    def test_who(self, asked: Pod, wrote: int, holds: int, allowance: int, who: str) -> None:
        told = overdrawn(asked, {"c": wrote * MEBI}, {"v": holds * MEBI}, allowance * MEBI)
        assert told.startswith(who)
        assert bool(told) == bool(who)


def test_the_size_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_bytes(b"x" * 8192)
    (tmp_path / "link").symlink_to("/proc/kcore")
    (tmp_path / "sparse").touch()
    with (tmp_path / "sparse").open("r+b") as file:
        file.truncate(1 << 30)
    assert 8192 <= size_of(tmp_path) < 65536
    assert size_of(tmp_path / "none") == 0


def evicted(status: PodStatus) -> bool:
    return (status.phase, status.reason) == ("Failed", "Evicted")


async def test_a_container_that_writes_too_much(tmp_path: Path) -> None:
    """Its pod ends, and what it took is given back; others are not touched."""
    writes = Program(writes=30 * MEBI)
    fake = FakeRuntime("n1", program=lambda config: writes if config.command else Program())
    async with one_node(fake, tmp_path, disk_seconds=0.1, disk_allowance=20 * MEBI) as node:
        await node.create(name="other")
        volumes = [{"name": "v", "emptyDir": {}}]
        pod = await node.create({"command": ["x"], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=volumes)
        status = await node.status(evicted)
        assert status.message.startswith('container "c" wrote 30.0 MiB, its allowance is 20.0 MiB')
        await node.told("evicted", "", 'container "c" wrote 30.0 MiB')
        await node.told("killing", "spec.containers{c}", "Killing ")

        async def given_back() -> bool:
            left = [c for c in await fake.containers() if c.pod == "default/p"]
            return not left and not (tmp_path / "pods" / pod.metadata.uid).exists()

        await eventually(given_back)
        status = await node.status(evicted)
        assert status.container_statuses[0].state.terminated is not None
        await node.status(lambda s: s.phase == "Running", "other")


async def test_an_empty_dir_that_holds_too_much(tmp_path: Path) -> None:
    async with one_node(FakeRuntime("n1"), tmp_path, disk_seconds=0.1) as node:
        volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
        pod = await node.create({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=volumes)
        await node.status(lambda s: s.phase == "Running")
        place = tmp_path / "pods" / pod.metadata.uid / "volumes/kubernetes.io~empty-dir/v"
        (place / "big").write_bytes(b"x" * 2 * MEBI)
        assert 'emptyDir "v" holds 2.0 MiB' in (await node.status(evicted)).message


async def test_a_full_disk(tmp_path: Path) -> None:
    """What runs, runs on; nothing new is started, and the node says so."""
    fake = FakeRuntime("n1")
    async with one_node(fake, tmp_path, disk_seconds=0.1, node_status_seconds=0.1) as node:
        await node.create(name="before")
        await node.status(lambda s: s.phase == "Running", "before")

        async def out_of_disk(expected: str) -> bool:
            found = await node.client.get(Node, "n1")
            return [c.status for c in found.status.conditions if c.type == "OutOfDisk"] == [expected]

        await eventually(lambda: out_of_disk("False"))
        fake.free = 100 * MEBI
        await eventually(lambda: out_of_disk("True"))
        await node.create()
        status = await node.status(lambda s: s.phase == "Failed")
        assert (status.reason, status.message) == ("OutOfDisk", "Pod cannot be started due to lack of disk space.")
        await node.told("outofdisk", "", "Cannot start the pod due to lack of disk space.")
        await node.status(lambda s: s.phase == "Running", "before")
        fake.free = 1 << 40
        await eventually(lambda: out_of_disk("False"))
        await node.create(name="after")
        await node.status(lambda s: s.phase == "Running", "after")
