"""What is mounted where; file systems in memory, and directories once more, made and ended with mount(8).

What another machine has to answer for is in remote_mounts.py.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple, Protocol

from labkit.components.kubelet import remote_mounts
from labkit.components.kubelet.remote_mounts import Remote
from labkit.components.kubelet.volume_files import VolumeFailure

SECONDS = 20
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mounted(NamedTuple):
    path: Path
    type: str


class Mounts(Protocol):
    """The seam: a stand-in without root's rights is FakeMounts (fake_mounts.py)."""

    def in_memory(self, path: Path, mode: int, size: int = 0) -> None:
        """Make `path` a file system in memory, of at most `size` bytes (0: the kernel's bound); as it is when it is one
        already. Raises VolumeFailure."""

    def again(self, descriptor: int, path: Path) -> None:
        """Make `path`, which is there, what the descriptor stands for. Raises VolumeFailure."""

    def end(self, path: Path) -> None:
        """Unmount. Raises VolumeFailure."""

    async def attach(self, remote: Remote, path: Path, log: Path) -> None:
        """Mount a file system of another machine. Raises VolumeFailure."""

    async def detach(self, path: Path) -> None:
        """Unmount it, also when its server is away. Raises VolumeFailure."""

    async def answers(self, path: Path) -> bool:
        """Whether what is mounted there works."""

    def below(self, path: Path) -> list[Mounted]:
        """What is mounted at or below the path, in the order in which it must be ended."""


class LinuxMounts:
    """This machine's."""

    def in_memory(self, path: Path, mode: int, size: int = 0) -> None:
        if any(mounted.path == path.resolve() for mounted in self.below(path)):
            return
        options = f"mode={mode:o},nosuid,nodev" + (f",size={size}" if size else "")
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path))

    def again(self, descriptor: int, path: Path) -> None:
        # --no-canonicalize: mount must not look up the name that the link of the descriptor shows.
        _run("mount", "--no-canonicalize", "-o", "bind", f"/proc/{os.getpid()}/fd/{descriptor}", str(path))

    def end(self, path: Path) -> None:
        _run("umount", str(path))

    async def attach(self, remote: Remote, path: Path, log: Path) -> None:
        await remote_mounts.mount(remote, path, log)

    async def detach(self, path: Path) -> None:
        await remote_mounts.unmount(path)

    async def answers(self, path: Path) -> bool:
        return await remote_mounts.answers(path)

    def below(self, path: Path) -> list[Mounted]:
        return mounted_below(Path("/proc/self/mountinfo").read_text(), path.resolve())


def mounted_below(mountinfo: str, path: Path) -> list[Mounted]:
    """The decision; see proc(5) for the lines. The newest and deepest first."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), before.split(" ")[4]))
        if place == path or path in place.parents:
            found.append(Mounted(place, after.split(" ")[0]))
    return found[::-1]


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise VolumeFailure(f"{command[0]} {command[-1]}: {exc}") from exc
    if done.returncode != 0:
        raise VolumeFailure(f"{' '.join(command)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
