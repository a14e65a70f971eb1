"""Who was killed for want of memory, on machines with control groups version 1.

Docker learns of it from a group that is gone with its container, and is often too late: exit code 137 is then all that
it tells. So the limit is put on a group of ours around docker's, which outlives the container:

    /sys/fs/cgroup/memory/kubelet/NODE/9f86d081/               limit: 64 Mi - 64 Ki, so it is the one that is hit
                                                 fc788ad1.../  docker's: 64 Mi, for everybody who looks there

The kernel counts each kill into an eventfd that is registered there (cgroup.event_control). What happened while no
kubelet listened shows only as use that once came up to the limit. Version 2 counts kills in memory.events for all
groups above, and docker reads it there: then nothing of this is needed.
Source: Documentation/admin-guide/cgroup-v1/memory.rst, 9 and 10.
"""

import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

KILLED = 137  # exit code of SIGKILL
LESS = 64 << 10
LEAST = 4 << 20  # below, the machine's docker refuses anyway


class MemoryGroups:
    """The groups of one node's containers. `root` is another machine's /sys/fs/cgroup, for tests."""

    def __init__(self, node: str, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = root
        self._own = Path("kubelet") / node
        self._listeners: dict[str, int] = {}
        self._killed: set[str] = set()
        self._new: set[str] = set()  # made, and not seen in use yet

    def usable(self) -> bool:
        """Whether this machine has version 1, and we may make groups."""
        memory = self._root / "memory"
        return (memory / "memory.limit_in_bytes").exists() and os.access(memory, os.W_OK)

    def make(self, limit: int) -> str:
        """A group for a container to come; what docker is given as its cgroup parent. OSError when it cannot be."""
        parent = f"/{self._own / secrets.token_hex(4)}"
        folder = self._folder(parent)
        folder.mkdir(parents=True)
        self._new.add(parent)
        try:
            self._bound(folder, max(LEAST, limit) - LESS)
            self._listen(parent)
        except OSError:
            self.remove(parent)
            raise
        return parent

    def _bound(self, folder: Path, limit: int) -> None:
        (folder / "memory.limit_in_bytes").write_text(str(limit))
        with suppress(OSError):  # a kernel that does not count swap
            (folder / "memory.memsw.limit_in_bytes").write_text(str(limit))

    def killed(self, parent: str, exit_code: int) -> bool:
        """Whether the container that ended in this group was killed for want of memory."""
        if exit_code != KILLED or not self._is_ours(parent):
            return False
        if parent in self._listeners:
            with suppress(BlockingIOError):
                os.eventfd_read(self._listeners[parent])
                self._killed.add(parent)
            return parent in self._killed
        return self._came_to_its_limit(parent)

    def keep(self, used: Collection[str]) -> None:
        """Listen in the groups of the containers that are there, and remove the others."""
        self._new -= set(used)
        for parent in used:
            if self._is_ours(parent) and parent not in self._listeners:
                with suppress(OSError):
                    self._listen(parent)
        with suppress(OSError):
            for folder in (self._root / "memory" / self._own).iterdir():
                parent = f"/{self._own / folder.name}"
                if folder.is_dir() and parent not in used and parent not in self._new:
                    self.remove(parent)

    def remove(self, parent: str) -> None:
        """Remove a group that holds nothing any more, in all hierarchies: docker made it in each."""
        if not self._is_ours(parent):
            return
        self._killed.discard(parent)
        self._new.discard(parent)
        if (listener := self._listeners.pop(parent, None)) is not None:
            os.close(listener)
        for folder in self._root.glob(f"*{parent}"):
            with suppress(OSError):  # a container of it runs yet
                folder.rmdir()
                folder.parent.rmdir()  # the last one of the node

    def close(self) -> None:
        while self._listeners:
            os.close(self._listeners.popitem()[1])

    def _listen(self, parent: str) -> None:
        folder = self._folder(parent)
        if self._came_to_its_limit(parent):
            return  # it may have been killed before: then only that tells
        watched = os.open(folder / "memory.oom_control", os.O_RDONLY)
        listener = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            (folder / "cgroup.event_control").write_text(f"{listener} {watched}")
        except OSError:
            os.close(listener)
            raise
        finally:
            os.close(watched)
        self._listeners[parent] = listener

    def _came_to_its_limit(self, parent: str) -> bool:
        folder = self._folder(parent)
        try:
            most, limit = (int((folder / f"memory.{name}_in_bytes").read_text()) for name in ("max_usage", "limit"))
        except (OSError, ValueError):
            return False
        return most >= limit

    def _folder(self, parent: str) -> Path:
        return self._root / "memory" / parent.lstrip("/")

    def _is_ours(self, parent: str) -> bool:
        return parent.startswith(f"/{self._own}/")
