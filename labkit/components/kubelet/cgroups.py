"""What groups of processes use, read from the kernel's own files: control groups, version 1 or 2.

    /proc/4711/cgroup           which group a process is in:   4:memory:/docker/3f1c...      (v1, one line a controller)
                                                               0::/system.slice/docker-3f1c.scope            (v2, one)
    /proc/self/mountinfo        where the groups are:          /sys/fs/cgroup/memory         /sys/fs/cgroup
    GROUP/memory.usage_in_bytes, memory.stat, cpuacct.usage                                  memory.current, cpu.stat

The machine is the group at the root of what we see. A lab machine is often a container with a cgroup namespace, so that
its own group is the root here. Of a real machine with version 2 the root does not count memory: /proc/meminfo does.
Source: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of the kernel.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labkit.components.kubelet.counters import NANOSECONDS, Counters
from labkit.components.kubelet.runtime import Container, Measured, Sample

TICK = NANOSECONDS // 100  # of /proc/stat and cpuacct.stat: USER_HZ is 100 on every architecture that Debian has
MICROSECOND = 1000


class Gone(Exception):
    """The process or its group is not there any more."""


@dataclass(frozen=True)
class Mount:
    """A hierarchy of groups: the group at its top, and the folder that shows this one."""

    top: str
    folder: Path

    def path(self, group: str) -> Path:
        """The folder of a group that /proc/PID/cgroup names."""
        inside = group.removeprefix(self.top) if self.top != "/" else group
        return self.folder / inside.lstrip("/")


class Cgroups:
    """The groups of this machine. `root` is another one's file system, for tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._mounts = mounts(root)
        self._unified = "memory" not in self._mounts  # a hybrid has an empty version 2 beside

    def of_machine(self) -> Counters:
        """Raises Gone where nothing can be read."""
        folders = {name: mount.folder for name, mount in self._mounts.items()}
        if self._unified and not (folders[""] / "memory.current").exists():
            return _of_proc(self._root / "proc")
        return self._counters(folders)

    def of_process(self, pid: int, container_id: str = "") -> Counters:
        """What the group of a process uses; Gone when it ended, or when another process now has its number: a
        container's group carries the container's id in its name."""
        groups = dict(_lines_of_process(_text(self._root / f"proc/{pid}/cgroup")))
        wanted = ("",) if self._unified else ("cpuacct", "memory")
        if any(name not in groups or container_id not in groups[name] for name in wanted):
            raise Gone(f"process {pid}")
        return self._counters({name: self._mounts[name].path(groups[name]) for name in wanted})

    def _counters(self, folders: dict[str, Path]) -> Counters:
        return _version_2(folders[""]) if self._unified else _version_1(folders["cpuacct"], folders["memory"])


def look(cgroups: Cgroups, running: Iterable[Container]) -> Sample:
    """The machine and these containers, those that have just ended left out; raises Gone."""
    found = {}
    for container in running:
        with suppress(Gone):
            found[container.id] = Measured(container, cgroups.of_process(container.pid, container.id))
    return Sample(time.time(), cgroups.of_machine(), found)


def mounts(root: Path) -> dict[str, Mount]:
    """Controller -> where its groups are; the key of version 2 is ""."""
    found: dict[str, Mount] = {}
    for line in _text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        top, point = left.split(" ")[3:5]
        mount = Mount(top, root / point.lstrip("/"))
        if kind == "cgroup2":
            found[""] = mount
        elif kind == "cgroup":
            found |= {name: mount for name in options.split(",") if name in ("cpuacct", "memory")}
    if not found:
        raise Gone("no control groups are mounted here")
    return found


def _lines_of_process(text: str) -> list[tuple[str, str]]:
    """(controller, group) of each line; one line of version 1 may name several controllers."""
    pairs = []
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        pairs += [(controller, group) for controller in controllers.split(",")]
    return pairs


def _version_1(cpu: Path, memory: Path) -> Counters:
    used, stat = _number(memory / "memory.usage_in_bytes"), _table(memory / "memory.stat")
    ticks = _table(cpu / "cpuacct.stat")
    return Counters(
        cpu=_number(cpu / "cpuacct.usage"),
        cpu_user=ticks.get("user", 0) * TICK,
        cpu_system=ticks.get("system", 0) * TICK,
        memory=used,
        working_set=max(0, used - stat.get("total_inactive_file", 0)),
        rss=stat.get("total_rss", 0),
        page_faults=stat.get("total_pgfault", 0),
        major_page_faults=stat.get("total_pgmajfault", 0),
    )


def _version_2(group: Path) -> Counters:
    used, stat, cpu = _number(group / "memory.current"), _table(group / "memory.stat"), _table(group / "cpu.stat")
    return Counters(
        cpu=cpu.get("usage_usec", 0) * MICROSECOND,
        cpu_user=cpu.get("user_usec", 0) * MICROSECOND,
        cpu_system=cpu.get("system_usec", 0) * MICROSECOND,
        memory=used,
        working_set=max(0, used - stat.get("inactive_file", 0)),
        rss=stat.get("anon", 0),
        page_faults=stat.get("pgfault", 0),
        major_page_faults=stat.get("pgmajfault", 0),
    )


def _of_proc(proc: Path) -> Counters:
    """The whole machine, as /proc counts it."""
    pairs = (line.split(":") for line in _text(proc / "meminfo").splitlines())
    memory = {name: int(amount.split()[0]) * 1024 for name, amount in pairs}
    user, nice, system, _idle, _waiting, interrupts, soft, stolen, *_ = (
        int(word) * TICK for word in _text(proc / "stat").splitlines()[0].split()[1:]
    )
    used = memory["MemTotal"] - memory["MemFree"]
    faults = _table(proc / "vmstat")
    return Counters(
        cpu=user + nice + system + interrupts + soft + stolen,
        cpu_user=user + nice,
        cpu_system=system + interrupts + soft,
        memory=used,
        working_set=max(0, used - memory.get("Inactive(file)", 0)),
        rss=memory.get("AnonPages", 0),
        page_faults=faults.get("pgfault", 0),
        major_page_faults=faults.get("pgmajfault", 0),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as exc:
        raise Gone(str(path)) from exc


def _number(path: Path) -> int:
    return int(_text(path))


def _table(path: Path) -> dict[str, int]:
    """A file of `name number` lines."""
    pairs = (line.partition(" ") for line in _text(path).splitlines())
    return {name: int(amount) for name, _, amount in pairs}
