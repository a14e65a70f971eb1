"""What is cleared away and what stays, with literals; and the collector on the twin."""

from pathlib import Path

import pytest

from labkit.components.kubelet.fake import FakeRuntime, Program
from labkit.components.kubelet.garbage import Keeping, ended_too_many, images_to_remove
from labkit.components.kubelet.runtime import Container, Disk, Image
from labkit.testing.eventually import eventually
from tests.unit.components.kubelet.one_node import one_node
from tests.unit.components.kubelet.pods import container, pause, pod

NOW = 1000.0
WEB = pod()
USUAL = Keeping()


def ended(number: int, name: str = "c", **fields: float) -> Container:
    at = 100.0 + number
    return container(WEB, name, "exited", attempt=number, created=at, **{"started": at, "finished": at} | fields)


def removed(containers: list[Container], keeping: Keeping = USUAL, living: set[str] | None = None) -> list[str]:
    uids = {WEB.metadata.uid} if living is None else living
    return [c.id for c in ended_too_many(containers, uids, keeping, NOW)]


class TestContainers:
    def test_two_of_each_name_stay(self) -> None:
        four = [ended(number) for number in range(4)]
        assert removed(four) == ["c-0", "c-1"]
        assert removed([*four, ended(0, "b")]) == ["c-0", "c-1"]
        assert removed([*four, container(WEB, attempt=9, created=900.0)]) == ["c-0", "c-1"]

    def test_those_that_just_ended_are_left_alone(self) -> None:
        four = [ended(number, finished=NOW - 59) for number in range(4)]
        assert removed(four) == []
        assert removed(four, Keeping(youngest=0.0, of_name=1)) == ["c-0", "c-1", "c-2"]

    def test_the_last_of_a_pod_that_lives_stays_whatever_is_allowed(self) -> None:
        assert removed([ended(0), ended(1)], Keeping(of_name=0)) == ["c-0"]
        assert removed([ended(0), ended(1)], Keeping(in_all=0)) == ["c-0"]
        assert removed([ended(0), ended(1)], Keeping(in_all=0), living=set()) == ["c-0", "c-1"]

    def test_so_many_in_all_the_oldest_go(self) -> None:
        many = [ended(n + 10 * (name == "b"), name) for name in "ab" for n in range(2)]
        assert removed(many, Keeping(in_all=3)) == ["a-0"]
        assert removed(many, Keeping(in_all=-1)) == []

    def test_pause_containers_and_what_runs_are_not_its_business(self) -> None:
        assert removed([pause(WEB, "exited"), container(WEB)], Keeping(of_name=0, in_all=0), living=set()) == []


GIB = 1 << 30
IMAGES = [Image("a", ("a:1",), 10 * GIB), Image("b", ("b:1",), 5 * GIB), Image("c", ("c:1",), 5 * GIB)]


class TestImages:
    @pytest.mark.parametrize(
        ("free", "used", "gone"),
        [
            (50, set(), []),
            (11, set(), []),
            (10, set(), ["b", "a"]),  # the one unused for longest first, until 20 GiB are free
            (10, {"b"}, ["a"]),
            (10, {"a", "b", "c"}, []),
            (0, set(), ["b", "a", "c"]),
        ],
    )
    def test_which_go(self, free: int, used: set[str], gone: list[str]) -> None:
        last_used = {"a": 200.0, "b": 100.0, "c": 300.0}
        disk = Disk(100 * GIB, free * GIB)
        assert [image.id for image in images_to_remove(IMAGES, used, last_used, disk, Keeping())] == gone


async def test_the_collector(tmp_path: Path) -> None:
    """Ended containers beyond one, and images that no container has; pause stays."""
    fake = FakeRuntime("n1", program=lambda config: Program(exit_code=0, seconds=0.05))
    keeping = Keeping(youngest=0.0, of_name=0, high=90, low=80)
    async with one_node(fake, tmp_path, keeping=keeping) as node:
        await node.create({"command": ["x"]})
        await node.status(lambda s: bool(s.container_statuses) and s.container_statuses[0].restart_count == 1)
        await eventually(lambda: len([1 for w in node.kubelet.workers.values() for _ in w.seen]) == 3)
        fake.stored = {"pause": GIB, "busybox:1": GIB, "unused:1": 8 * GIB}
        fake.capacity, fake.free = 100 * GIB, 10 * GIB
        await node.kubelet.collector.collect()
        assert sorted(fake.stored) == ["busybox:1", "pause"]
        assert len(await node.containers("c")) == 1
        text = "failed to garbage collect required amount of images."
        text += f" Wanted to free {10 * GIB}, but freed {8 * GIB}"
        await node.told("freeDiskSpaceFailed", "", text, name="n1")
        await node.status(lambda s: s.container_statuses[0].restart_count == 1)
