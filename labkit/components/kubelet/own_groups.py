"""Control groups of ours around docker's: one for each container that has a bound, and it outlives the container.

    version 1    /sys/fs/cgroup/memory/kubelet/NODE/9f86d081/fc788ad1...      ours/docker's; beside memory: cpu, pids
    version 2    /sys/fs/cgroup/kubelet/NODE/9f86d081/fc788ad1...             (docker's driver cgroupfs)

Docker learns of a container that was killed for want of memory from a group that is gone with it, and often too late:
exit code 137 is then all that it tells. Ours still has the count:

    memory     version 1: oom_listeners.py. Version 2: memory.events counts what was killed in all groups below
    processes  pids.peak (Linux 6.1) is the most that there ever were, pids.current how many there are

Groups compete for the processor with their neighbours, so ours has the weight of the container in it. Where docker puts
containers into slices of systemd's (its driver systemd) none are made: docker's own word has to do there.
Source: Documentation/admin-guide/cgroup-v1/{memory,pids}.rst and cgroup-v2.rst of the kernel.
"""

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from labkit.components.kubelet.oom_listeners import OomListeners
from labkit.components.kubelet.runtime import Resources

KILLED = 137  # exit code of SIGKILL
CONTROLLERS = ("cpu", "memory", "pids")
LEAST_SHARES, MOST_SHARES = 2, 262144
MOST_WEIGHT = 10_000


class OwnGroups:
    """The groups of one node's containers. `root` is another machine's /sys/fs/cgroup, for tests."""

    def __init__(self, node: str, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = root
        self._own = Path("kubelet") / node
        self._unified = (root / "cgroup.controllers").exists()
        self._ooms = OomListeners()
        self._new: set[str] = set()  # made, and not seen in use yet

    @property
    def version(self) -> str:
        """Of control groups, as docker calls it."""
        return "2" if self._unified else "1"

    def usable(self) -> bool:
        """Whether there is a hierarchy that counts memory, and we may make groups in it."""
        if self._unified:
            counts = "memory" in _words(self._root / "cgroup.controllers")
        else:
            counts = (self._root / "memory/memory.limit_in_bytes").exists()
        return counts and os.access(self._hierarchy("memory"), os.W_OK)

    def make(self, wanted: Resources, shares: int) -> str:
        """A group for a container to come; what docker is given as its cgroup parent. OSError when it cannot be.

        shares: of the processor, in docker's measure; 0 for what everybody has.
        """
        parent = f"/{self._own / secrets.token_hex(4)}"
        self._new.add(parent)
        try:
            if self._unified:
                self._hand_down_controllers()
            self._folder("memory", parent).mkdir(parents=True)
            if shares:
                self._weigh(parent, shares)
            if wanted.memory and not self._unified:
                self._ooms.bound(self._folder("memory", parent), wanted.memory)
        except OSError:
            self.remove(parent)
            raise
        return parent

    def killed(self, parent: str, exit_code: int) -> bool:
        """Whether the container that ended in this group was killed for want of memory."""
        if exit_code != KILLED or not self._is_ours(parent):
            return False
        folder = self._folder("memory", parent)
        if not self._unified:
            return self._ooms.killed(folder)
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in _lines(folder / "memory.events"))

    def crowded(self, parent: str, bound: int) -> bool:
        """Whether there are, or once were, as many processes and threads in this group as there may be."""
        if not bound or not self._is_ours(parent):
            return False
        folder = self._folder("pids", parent)
        counted = _lines(folder / "pids.peak") or _lines(folder / "pids.current")
        return bool(counted) and int(counted[0]) >= bound

    def keep(self, used: Collection[str]) -> None:
        """Listen in the groups of the containers that are there, and remove the others."""
        self._new -= set(used)
        for parent in used if not self._unified else ():
            if self._is_ours(parent):
                with suppress(OSError):
                    self._ooms.listen(self._folder("memory", parent))
        with suppress(OSError):
            for folder in (self._hierarchy("memory") / self._own).iterdir():
                parent = f"/{self._own / folder.name}"
                if folder.is_dir() and parent not in used and parent not in self._new:
                    self.remove(parent)

    def remove(self, parent: str) -> None:
        """Remove a group that holds nothing any more, in all hierarchies: docker made it in each."""
        if not self._is_ours(parent):
            return
        self._new.discard(parent)
        self._ooms.forget(self._folder("memory", parent))
        for folder in [self._folder("", parent)] if self._unified else self._root.glob(f"*{parent}"):
            with suppress(OSError):  # a container of it runs yet
                folder.rmdir()
                folder.parent.rmdir()  # the last one of the node

    def close(self) -> None:
        self._ooms.close()

    def _hand_down_controllers(self) -> None:
        """In version 2 a group has the controllers that the one above hands down to it."""
        self._folder("", f"/{self._own}").mkdir(parents=True, exist_ok=True)
        for group in (self._root, self._root / "kubelet", self._root / self._own):
            switches = group / "cgroup.subtree_control"
            if missing := [name for name in CONTROLLERS if name not in _words(switches)]:
                switches.write_text(" ".join(f"+{name}" for name in missing))

    def _weigh(self, parent: str, shares: int) -> None:
        folder = self._folder("cpu", parent)
        folder.mkdir(parents=True, exist_ok=True)
        if self._unified:
            (folder / "cpu.weight").write_text(str(weight_of(shares)))
        else:
            (folder / "cpu.shares").write_text(str(shares))

    def _folder(self, controller: str, parent: str) -> Path:
        return self._hierarchy(controller) / parent.lstrip("/")

    def _hierarchy(self, controller: str) -> Path:
        if self._unified:
            return self._root
        found = self._root / controller
        return found if found.exists() or controller != "cpu" else self._root / "cpu,cpuacct"

    def _is_ours(self, parent: str) -> bool:
        return parent.startswith(f"/{self._own}/")


def weight_of(shares: int) -> int:
    """Version 2 weighs from 1 to 10,000 what version 1 weighed from 2 to 262,144; as runc converts it for docker."""
    bounded = min(MOST_SHARES, max(LEAST_SHARES, shares))
    return 1 + (bounded - LEAST_SHARES) * (MOST_WEIGHT - 1) // (MOST_SHARES - LEAST_SHARES)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> Iterator[str]:
    for line in _lines(path):
        yield from line.split()
