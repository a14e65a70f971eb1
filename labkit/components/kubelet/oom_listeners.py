"""Who was killed for want of memory, on machines with control groups version 1.

The kernel tells it to who listens in a group: it counts each kill into an eventfd that is registered there
(cgroup.event_control). So the limit is put on the group of ours around docker's, which outlives the container:

    /sys/fs/cgroup/memory/kubelet/NODE/9f86d081/               limit: 64 Mi - 64 Ki, so it is the one that is hit
                                                 fc788ad1.../  docker's: 64 Mi, for everybody who looks there

What happened while no kubelet listened shows only as use that once came up to the limit.
Source: Documentation/admin-guide/cgroup-v1/memory.rst, 9 and 10.
"""

import os
from contextlib import suppress
from pathlib import Path

LESS = 64 << 10
LEAST = 4 << 20  # below, the machine's docker refuses anyway
UNBOUNDED = 1 << 60  # the kernel's word for no limit is the largest number that it has


class OomListeners:
    """By the folder of the group."""

    def __init__(self) -> None:
        self._listeners: dict[Path, int] = {}
        self._killed: set[Path] = set()

    def bound(self, folder: Path, limit: int) -> None:
        """Put the limit on a group, and listen there. Raises OSError."""
        least = max(LEAST, limit) - LESS
        (folder / "memory.limit_in_bytes").write_text(str(least))
        with suppress(OSError):  # a kernel that does not count swap
            (folder / "memory.memsw.limit_in_bytes").write_text(str(least))
        self.listen(folder)

    def killed(self, folder: Path) -> bool:
        if folder not in self._listeners:
            return self._came_to_its_limit(folder)
        with suppress(BlockingIOError):
            os.eventfd_read(self._listeners[folder])
            self._killed.add(folder)
        return folder in self._killed

    def listen(self, folder: Path) -> None:
        """Where there is a limit and nobody listens yet. Raises OSError."""
        if folder in self._listeners or self._limit(folder) >= UNBOUNDED or self._came_to_its_limit(folder):
            return  # of one that came to its limit before us only that tells
        watched = os.open(folder / "memory.oom_control", os.O_RDONLY)
        listener = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            (folder / "cgroup.event_control").write_text(f"{listener} {watched}")
        except OSError:
            os.close(listener)
            raise
        finally:
            os.close(watched)
        self._listeners[folder] = listener

    def forget(self, folder: Path) -> None:
        self._killed.discard(folder)
        if (listener := self._listeners.pop(folder, None)) is not None:
            os.close(listener)

    def close(self) -> None:
        while self._listeners:
            os.close(self._listeners.popitem()[1])

    def _came_to_its_limit(self, folder: Path) -> bool:
        try:
            return int((folder / "memory.max_usage_in_bytes").read_text()) >= self._limit(folder)
        except (OSError, ValueError):
            return False

    def _limit(self, folder: Path) -> int:
        return int((folder / "memory.limit_in_bytes").read_text())
