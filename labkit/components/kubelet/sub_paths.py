"""A part of a volume that containers can write to (`subPath`), found without being led out of the volume.

    pods/UID/volumes/kubernetes.io~empty-dir/data/a/part         opened step by step, no step may be a link
    pods/UID/volume-subpaths/data/redis/0                        the same directory once more: what docker is given

Between our look and docker's mount a container could put a link in the way. So what was opened is what is mounted, by
its descriptor; from then on its name is not asked for. Source: the mend of CVE-2017-1002101 in Kubernetes 1.9.
"""

import os
import stat
from pathlib import Path, PurePosixPath

from labkit.components.kubelet.volume_files import VolumeFailure

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_part(top: Path, part: str) -> int:
    """A descriptor of the part, which is made where it is not there; to be closed. Raises VolumeFailure, OSError."""
    path = PurePosixPath(part)
    if path.is_absolute() or ".." in path.parts:
        raise VolumeFailure(f"subPath {part!r}: expected a path below the volume, without ..")
    here = os.open(top, os.O_PATH | os.O_CLOEXEC)
    try:
        for name in path.parts:
            here = _step(here, name, part)
    except BaseException:
        os.close(here)
        raise
    return here


def _step(here: int, name: str, part: str) -> int:
    """One name further; `here` is closed only when that worked."""
    try:
        there, is_new = os.open(name, _STEP, dir_fd=here), False
    except FileNotFoundError:
        os.mkdir(name, dir_fd=here)
        there, is_new = os.open(name, _STEP, dir_fd=here), True
    except NotADirectoryError as exc:
        raise VolumeFailure(f"subPath {part!r}: what stands before {name!r} is no directory") from exc
    if stat.S_ISLNK(os.fstat(there).st_mode):
        os.close(there)
        raise VolumeFailure(f"subPath {part!r}: {name!r} is a link, which could lead out of the volume")
    if is_new:
        Path(f"/proc/self/fd/{there}").chmod(0o777)  # as an emptyDir: whatever the container's user
    os.close(here)
    return there
