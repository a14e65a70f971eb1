"""What control groups tell, on trees as recorded: version 1 of this kind of machine, version 2 of today's."""

from pathlib import Path

import pytest

from labkit.components.kubelet.cgroups import Cgroups, Gone, look, mounts
from labkit.components.kubelet.counters import Counters
from labkit.components.kubelet.runtime import Container
from tests.unit.components.kubelet.test_node import lay_out

ID = "7404500f35ce17d59376579a67ccfc46d475ff47b2ac9a1c98d38a53255324c6"

# docker 20.10 on Debian 12 with version 1 and an empty version 2 beside; a loop ran for 2 s under a limit of 64 MB
V1 = {
    "proc/self/mountinfo": """\
23 1 0:22 / /sys rw,nosuid - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
""",
    "proc/4711/cgroup": f"""\
9:name=systemd:/docker/{ID}
4:memory:/docker/{ID}
2:cpu,cpuacct:/docker/{ID}
0::/docker/{ID}
""",
    f"sys/fs/cgroup/memory/docker/{ID}/memory.usage_in_bytes": "2666496\n",
    f"sys/fs/cgroup/memory/docker/{ID}/memory.stat": """\
cache 1982464
rss 65536
inactive_file 11
hierarchical_memory_limit 67108864
total_rss 65536
total_pgfault 1059
total_pgmajfault 1
total_inactive_file 1982464
""",
    f"sys/fs/cgroup/cpu,cpuacct/docker/{ID}/cpuacct.stat": "user 213\nsystem 1\n",
    f"sys/fs/cgroup/cpu,cpuacct/docker/{ID}/cpuacct.usage": "2154545006\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "836386816\n",
    "sys/fs/cgroup/memory/memory.stat": "total_rss 312791040\ntotal_inactive_file 242253824\n",
    "sys/fs/cgroup/cpu,cpuacct/cpuacct.stat": "user 815575\nsystem 317092\n",
    "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage": "11326679968127\n",
}  # fmt: skip
V2 = {
    "proc/self/mountinfo": "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    "proc/4711/cgroup": f"0::/system.slice/docker-{ID}.scope\n",
    f"sys/fs/cgroup/system.slice/docker-{ID}.scope/memory.current": "2666496\n",
    f"sys/fs/cgroup/system.slice/docker-{ID}.scope/memory.stat": """\
anon 65536
file 1982464
inactive_file 1982464
pgfault 1059
pgmajfault 1
""",
    f"sys/fs/cgroup/system.slice/docker-{ID}.scope/cpu.stat": """\
usage_usec 2154545
user_usec 2130000
system_usec 10000
nr_periods 0
""",
}  # fmt: skip
OF_V2_CONTAINER = {
    "sys/fs/cgroup/memory.current": "836386816\n",
    "sys/fs/cgroup/memory.stat": "anon 312791040\ninactive_file 242253824\n",
    "sys/fs/cgroup/cpu.stat": "usage_usec 11326679968\n",
}
# the root of version 2 on real hardware: no memory.current
OF_V2_HARDWARE = {
    "sys/fs/cgroup/cpu.stat": "usage_usec 11326679968\n",
    "proc/meminfo": "MemTotal: 24684092 kB\nMemFree: 23462876 kB\nInactive(file): 227624 kB\nAnonPages: 276504 kB\n"
    "HugePages_Total:       0\n",
    "proc/stat": "cpu  804199 1 297422 1440506 11224 2 15248 7289 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\nbtime 1763806030\n",
    "proc/vmstat": "nr_free_pages 5865719\npgfault 278494651\npgmajfault 48380\n",
}
LOOP = Counters(
    cpu=2154545006, cpu_user=2130000000, cpu_system=10000000, memory=2666496, working_set=684032, rss=65536,
    page_faults=1059, major_page_faults=1,
)  # fmt: skip


class TestVersion1:
    def test_a_container(self, tmp_path: Path) -> None:
        assert Cgroups(lay_out(tmp_path, V1)).of_process(4711, ID) == LOOP

    def test_the_machine(self, tmp_path: Path) -> None:
        machine = Cgroups(lay_out(tmp_path, V1)).of_machine()
        assert (machine.cpu, machine.cpu_user) == (11326679968127, 8155750000000)
        assert (machine.memory, machine.working_set) == (836386816, 836386816 - 242253824)

    def test_a_hierarchy_that_shows_only_a_part(self, tmp_path: Path) -> None:
        """Without a cgroup namespace a machine that is a container sees its own group as the top of its mounts."""
        mountinfo = (
            V1["proc/self/mountinfo"].replace("0:29 / ", "0:29 /docker/m ").replace("0:32 / ", "0:32 /docker/m ")
        )
        process = V1["proc/4711/cgroup"].replace("/docker/", "/docker/m/docker/")
        inside = V1 | {"proc/self/mountinfo": mountinfo, "proc/4711/cgroup": process}
        assert Cgroups(lay_out(tmp_path, inside)).of_process(4711, ID) == LOOP


# where docker puts a container in version 2: its driver systemd, its driver cgroupfs, in a group of ours, in a machine
# that is a container and sees its own group as the top
PARENTS_OF_V2 = {
    "systemd": f"/system.slice/docker-{ID}.scope", "cgroupfs": f"/docker/{ID}", "ours": f"/kubelet/n/9f86d081/{ID}",
    "slice": f"/lab.slice/lab-pods.slice/docker-{ID}.scope",
}  # fmt: skip


class TestVersion2:
    @pytest.mark.parametrize("layout", PARENTS_OF_V2)
    @pytest.mark.parametrize("top", ["", "/docker/machine", "/system.slice/docker-machine.scope"])
    def test_wherever_docker_puts_it(self, tmp_path: Path, layout: str, top: str) -> None:
        group, recorded = PARENTS_OF_V2[layout], PARENTS_OF_V2["systemd"]
        moved = {name.replace(recorded, group): text.replace(recorded, top + group) for name, text in V2.items()}
        if top:
            moved["proc/self/mountinfo"] = moved["proc/self/mountinfo"].replace("0:26 / ", f"0:26 {top} ")
        found = Cgroups(lay_out(tmp_path, moved)).of_process(4711, ID)
        assert (found.cpu, found.memory, found.working_set) == (2154545000, 2666496, 684032)

    def test_a_container(self, tmp_path: Path) -> None:
        expected = {"cpu": 2154545000, "cpu_user": 2130000000, "cpu_system": 10000000}
        found = Cgroups(lay_out(tmp_path, V2)).of_process(4711, ID)
        assert found == Counters(**{name: getattr(LOOP, name) for name in Counters.__slots__} | expected)

    def test_a_machine_that_is_a_container(self, tmp_path: Path) -> None:
        machine = Cgroups(lay_out(tmp_path, V2 | OF_V2_CONTAINER)).of_machine()
        assert (machine.cpu, machine.memory, machine.working_set) == (11326679968000, 836386816, 594132992)

    def test_a_machine_of_its_own(self, tmp_path: Path) -> None:
        machine = Cgroups(lay_out(tmp_path, V2 | OF_V2_HARDWARE)).of_machine()
        assert machine.cpu == (804199 + 1 + 297422 + 2 + 15248 + 7289) * 10_000_000  # idle and waiting do not count
        assert machine.memory == (24684092 - 23462876) * 1024
        assert machine.working_set == machine.memory - 227624 * 1024
        assert (machine.rss, machine.page_faults) == (276504 * 1024, 278494651)


@pytest.mark.parametrize("tree", [V1, V2])
class TestWhatIsNotThere:
    def test_a_process_that_ended(self, tmp_path: Path, tree: dict[str, str]) -> None:
        with pytest.raises(Gone, match="4712"):
            Cgroups(lay_out(tmp_path, tree)).of_process(4712, ID)

    def test_a_number_that_another_process_has_now(self, tmp_path: Path, tree: dict[str, str]) -> None:
        with pytest.raises(Gone, match="4711"):
            Cgroups(lay_out(tmp_path, tree)).of_process(4711, "0" * 64)

    def test_a_look_leaves_out_what_has_just_ended(self, tmp_path: Path, tree: dict[str, str]) -> None:
        cgroups = Cgroups(lay_out(tmp_path, tree | OF_V2_CONTAINER))
        there = Container(ID, "c", "default/p", "uid", "running", pid=4711)
        gone = Container("1" * 64, "d", "default/p", "uid", "running", pid=4712)
        sample = look(cgroups, [there, gone])
        assert set(sample.containers) == {ID}
        assert sample.containers[ID].container is there
        assert sample.machine.memory == 836386816


def test_no_groups_at_all(tmp_path: Path) -> None:
    with pytest.raises(Gone, match="no control groups are mounted"):
        mounts(lay_out(tmp_path, {"proc/self/mountinfo": "23 1 0:22 / /sys rw - sysfs sysfs rw\n"}))
