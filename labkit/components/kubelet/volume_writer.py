"""Files that change all at once: who reads them sees the old ones or the new ones, never some of each.

A name that is new leads nowhere until then, one that is gone leads nowhere for a moment after.

    token     -> ..data/token                    what containers open
    ..data    -> ..2026_11_22_17_24_10.x7f2k     changed by one rename(2)
    ..2026_11_22_17_24_10.x7f2k/token            the content, written before and never again

Source: AtomicWriter of Kubernetes 1.2 (pkg/volume/util), which the secret volume of 1.0 did not have yet.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path, PurePosixPath

from labkit.components.kubelet.volume_files import File, Files, VolumeFailure

DATA = "..data"


def write(directory: Path, files: Files) -> bool:
    """Make these the files of the directory; False when they already are."""
    for path in files:
        _check(path)
    names = {PurePosixPath(path).parts[0] for path in files}
    is_new = not (directory / DATA).is_dir() or read(directory) != files
    _link(directory, names)
    if is_new:
        new = _write_new(directory, files)
        (directory / "..data_tmp").unlink(missing_ok=True)
        (directory / "..data_tmp").symlink_to(new.name)
        (directory / "..data_tmp").rename(directory / DATA)
        _remove_others(directory, new)
    _unlink_others(directory, names)
    return is_new


def read(directory: Path) -> Files:
    """What is there."""
    root = directory / DATA
    paths = [Path(place) / name for place, _, names in os.walk(root) for name in names]
    return {path.relative_to(root).as_posix(): File(path.read_bytes(), path.stat().st_mode & 0o777) for path in paths}


def _check(path: str) -> None:
    """The API server has seen to it; a kubelet that writes as root looks again."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or parts[0].startswith("..") or ".." in parts:
        raise VolumeFailure(f"{path!r} is no path below a volume: expected one like name or folder/name")


def _write_new(directory: Path, files: Files) -> Path:
    """A new directory with the content."""
    new = Path(tempfile.mkdtemp(prefix=time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()), dir=directory))
    new.chmod(0o755)
    for path, file in files.items():
        target = new / path
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
    return new


def _remove_others(directory: Path, new: Path) -> None:
    """What was there before, and what was left when a kubelet was killed half-way."""
    for entry in directory.glob("..*"):
        if entry.is_dir() and not entry.is_symlink() and entry != new:
            shutil.rmtree(entry, ignore_errors=True)


def _link(directory: Path, names: set[str]) -> None:
    """A link for each name on the top."""
    for name in names - _links(directory):
        (directory / name).symlink_to(f"{DATA}/{name}")


def _unlink_others(directory: Path, names: set[str]) -> None:
    for name in _links(directory) - names:
        (directory / name).unlink()


def _links(directory: Path) -> set[str]:
    return {entry.name for entry in os.scandir(directory) if not entry.name.startswith("..")}
