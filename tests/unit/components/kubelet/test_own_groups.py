"""Groups of ours as folders, of both versions: what is made, what is told of the dead, what is left.

The folders are none of the kernel's; what stands in their files is laid out in the form that its documentation gives.
"""

from pathlib import Path

import pytest

from labkit.components.kubelet.oom_listeners import LESS
from labkit.components.kubelet.own_groups import OwnGroups, weight_of
from labkit.components.kubelet.runtime import Resources
from tests.unit.components.kubelet.test_node import lay_out

LIMIT = 64 << 20
V1 = {
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "cpu,cpuacct/cpu.shares": "1024\n",
    "pids/pids.current": "300\n",
}
V2 = {
    "cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma\n",
    "cgroup.subtree_control": "memory pids\n",
    "kubelet/cgroup.subtree_control": "\n",
    "kubelet/n/cgroup.subtree_control": "\n",
}
# Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files": one process below this group was killed
EVENTS = "low 0\nhigh 0\nmax 41\noom 1\noom_kill 1\noom_group_kill 0\n"


def folder_of(root: Path, hierarchy: str, name: str) -> Path:
    return root / hierarchy / "kubelet/n" / name


class TestVersion1:
    def test_it_is_seen_by_its_files(self, tmp_path: Path) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, V1))
        assert (groups.version, groups.usable()) == ("1", True)
        assert not OwnGroups("n", tmp_path / "elsewhere").usable()

    @pytest.mark.parametrize(
        ("name", "most", "exit_code", "killed"),
        [("full", LIMIT - LESS, 137, True), ("full", LIMIT - LESS, 1, False), ("roomy", LIMIT // 2, 137, False)],
    )
    def test_what_happened_while_nobody_listened(
        self, tmp_path: Path, name: str, most: int, exit_code: int, killed: bool
    ) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, V1))
        files = {"memory.limit_in_bytes": f"{LIMIT - LESS}\n", "memory.max_usage_in_bytes": f"{most}\n"}
        lay_out(folder_of(tmp_path, "memory", name), files)
        assert groups.killed(f"/kubelet/n/{name}", exit_code) == killed

    def test_a_group_that_cannot_listen_is_refused(self, tmp_path: Path) -> None:
        """There is no memory.oom_control among these files; nothing is left of it but what cannot be removed here."""
        with pytest.raises(OSError, match=r"memory\.oom_control"):
            OwnGroups("n", lay_out(tmp_path, V1)).make(Resources(memory=LIMIT), 0)

    def test_a_bound_of_processes_alone(self, tmp_path: Path) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, V1))
        name = groups.make(Resources(pids=10), 256).rpartition("/")[2]
        assert (folder_of(tmp_path, "cpu,cpuacct", name) / "cpu.shares").read_text() == "256"
        assert list(folder_of(tmp_path, "memory", name).iterdir()) == []


class TestVersion2:
    def test_it_is_seen_by_its_files(self, tmp_path: Path) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, V2))
        assert (groups.version, groups.usable()) == ("2", True)
        none_of_memory = {"cgroup.controllers": "hugetlb\n"}
        assert not OwnGroups("n", lay_out(tmp_path / "hybrid", none_of_memory)).usable()

    def test_controllers_are_handed_down_and_the_weight_is_docker_s(self, tmp_path: Path) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, V2))
        parent = groups.make(Resources(memory=LIMIT, cpu_request=250), 256)
        assert (tmp_path / parent[1:] / "cpu.weight").read_text() == "10"
        told = [tmp_path / group / "cgroup.subtree_control" for group in ("", "kubelet", "kubelet/n")]
        assert [each.read_text() for each in told] == ["+cpu", "+cpu +memory +pids", "+cpu +memory +pids"]
        assert not (tmp_path / parent[1:] / "cgroup.subtree_control").exists()  # docker does that, for its own

    @pytest.mark.parametrize(
        ("events", "exit_code", "killed"),
        [(EVENTS, 137, True), (EVENTS, 1, False), (EVENTS.replace("oom_kill 1", "oom_kill 0"), 137, False)],
    )
    def test_who_was_killed_for_want_of_memory(self, tmp_path: Path, events: str, exit_code: int, killed: bool) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, V2))
        lay_out(folder_of(tmp_path, "", "a"), {"memory.events": events})
        assert groups.killed("/kubelet/n/a", exit_code) == killed

    def test_what_is_not_used_goes(self, tmp_path: Path) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, V2))
        used, old = (folder_of(tmp_path, "", name) for name in ("used", "old"))
        for each in (used, old):
            each.mkdir(parents=True)
        new = groups.make(Resources(memory=LIMIT), 0)
        groups.keep({"/kubelet/n/used"})
        assert (used.exists(), old.exists(), (tmp_path / new[1:]).exists()) == (True, False, True)


@pytest.mark.parametrize(("tree", "hierarchy"), [(V1, "pids"), (V2, "")])
class TestProcesses:
    @pytest.mark.parametrize(
        ("files", "crowded"),
        [
            ({"pids.peak": "10\n", "pids.current": "1\n"}, True),
            ({"pids.peak": "9\n", "pids.current": "9\n"}, False),
            ({"pids.current": "10\n"}, True),  # Linux before 6.1
            ({"pids.current": "9\n"}, False),
            ({}, False),
        ],
    )
    def test_as_many_as_there_may_be(
        self, tmp_path: Path, tree: dict[str, str], hierarchy: str, files: dict[str, str], crowded: bool
    ) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, tree))
        lay_out(folder_of(tmp_path, hierarchy, "a"), files)
        assert groups.crowded("/kubelet/n/a", 10) == crowded
        assert not groups.crowded("/kubelet/n/a", 0)

    def test_groups_of_others(self, tmp_path: Path, tree: dict[str, str], hierarchy: str) -> None:
        groups = OwnGroups("n", lay_out(tmp_path, tree))
        for parent in ("", "/docker", "/kubelet/other/a"):
            lay_out(tmp_path / hierarchy / parent[1:], {"pids.peak": "99\n", "memory.events": EVENTS})
            assert not groups.crowded(parent, 10)
            assert not groups.killed(parent, 137)


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (102, 4), (1024, 39), (262144, 10_000), (0, 1), (1 << 20, 10_000)]
)
def test_weights_are_those_of_runc(shares: int, weight: int) -> None:
    assert weight_of(shares) == weight
