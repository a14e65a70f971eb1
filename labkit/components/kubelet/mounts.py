"""File systems in memory, made and ended with mount(8) and umount(8); and the list of what is mounted where."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple, Protocol

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

    def end(self, path: Path) -> None:
        """Unmount. Raises VolumeFailure."""

    def below(self, path: Path) -> list[Mounted]:
        """What is mounted at or below the path, in the order in which it must be ended."""


class LinuxMounts:
    """This machine's."""

    def in_memory(self, path: Path, mode: int, size: int = 0) -> None:
        if any(mounted.path == path.resolve() for mounted in self.below(path)):
            return
        options = f"mode={mode:o},nosuid,nodev" + (f",size={size}" if size else "")
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path))

    def end(self, path: Path) -> None:
        _run("umount", str(path))

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
