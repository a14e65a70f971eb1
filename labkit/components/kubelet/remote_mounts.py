"""File systems of other machines, mounted with mount(8): which command, what its failure means, and running it.

    glusterfs   mount -t glusterfs -o rw,backup-volfile-servers=10.245.1.3 10.245.1.2:data PLACE     a FUSE process
    nfs         mount -t nfs -o rw,retry=0 fileserver:/exports PLACE                                 the kernel

A server that is away makes such commands, and everything that touches the place, hang. So each runs as a process of its
own with a bound, no thread waits for it, and what is mounted is read from the kernel's list and not from the place. On
a machine with systemd mount runs in a scope of its own: the FUSE process must outlive a restart of the kubelet.
Source: pkg/volume/{glusterfs,nfs} of Kubernetes 1.0; the scope is that of 1.9.
"""

import asyncio
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labkit.api.types import Volume
from labkit.components.kubelet.volume_files import VolumeFailure

SECONDS = 30.0
_PACKAGES = {"glusterfs": "glusterfs-client", "nfs": "nfs-common"}
TYPES = ("fuse.glusterfs", "nfs", "nfs4")
"""What the kernel's list calls them."""


@dataclass(frozen=True)
class Remote:
    """type: mount's. source: `server:path`. log: the file into which glusterfs writes why it failed."""

    type: str
    source: str
    options: tuple[str, ...]


# -- the decisions ---------------------------------------------------------------------------------------------------


def remote_of(volume: Volume, servers: Sequence[str], near: str = "") -> Remote | None:
    """What to mount; None for a volume of this machine. servers: of a glusterfs; `near` is asked first."""
    if volume.glusterfs is not None:
        first, *others = sorted(servers, key=lambda server: server != near)
        mode = "ro" if volume.glusterfs.read_only else "rw"
        backup = (f"backup-volfile-servers={':'.join(others)}",) if others else ()
        return Remote("glusterfs", f"{first}:{volume.glusterfs.path}", (mode, *backup))
    if volume.nfs is not None:
        mode = "ro" if volume.nfs.read_only else "rw"
        return Remote("nfs", f"{volume.nfs.server}:{volume.nfs.path}", (mode, "retry=0"))
    return None


def command(remote: Remote, place: Path, log: Path, *, systemd: bool) -> list[str]:
    options = [*remote.options, *([f"log-file={log}"] if remote.type == "glusterfs" else [])]
    mount = ["mount", "-t", remote.type, "-o", ",".join(options), remote.source, str(place)]
    scope = ["systemd-run", "--quiet", "--scope", "--collect", "--description", f"kubelet: {remote.source}", "--"]
    return [*scope, *mount] if systemd else mount


def mend(remote: Remote, filesystems: str, *, helper: bool, fuse: bool) -> str:
    """What to do about a mount that failed, "" when this machine lacks nothing. filesystems: /proc/filesystems."""
    if not helper:
        package = _PACKAGES[remote.type]
        return f"mount.{remote.type} is not on this machine: apt-get install {package}"
    if remote.type == "nfs" and not {"nfs", "nfs4"} & set(filesystems.split()):
        return "the kernel of this machine has no nfs: modprobe nfs on the host (a container cannot), or use glusterfs"
    if remote.type == "glusterfs" and not fuse:
        return "there is no /dev/fuse on this machine: start it with that device"
    return ""


def last_words(log: str) -> str:
    """The last error in glusterfs's log, without its time and place in the source."""
    errors = [line for line in log.splitlines() if "] E [" in line or "] C [" in line]
    return errors[-1].rpartition("]: " if "]: " in errors[-1] else "] ")[2] if errors else ""


# -- the work --------------------------------------------------------------------------------------------------------


async def mount(remote: Remote, place: Path, log: Path) -> None:
    """Mount it. Raises VolumeFailure with the cause and, where this machine lacks something, the mend."""
    systemd = Path("/run/systemd/system").is_dir()
    code, told = await run(command(remote, place, log, systemd=systemd), SECONDS)
    if code == 0:
        return
    why = last_words(log.read_text(errors="replace")) if log.is_file() else ""
    helper = shutil.which(f"mount.{remote.type}", path="/sbin:/usr/sbin:/bin:/usr/bin") is not None
    filesystems = await asyncio.to_thread(Path("/proc/filesystems").read_text)
    fix = mend(remote, filesystems, helper=helper, fuse=Path("/dev/fuse").exists())
    said = next((line for line in told.splitlines() if line.strip()), "")
    raise VolumeFailure(": ".join(filter(None, [f"mount -t {remote.type} {remote.source} failed", said, why, fix])))


async def unmount(place: Path) -> None:
    """At once where it is used no more or hangs: what still runs on it keeps it until its end."""
    code, told = await run(["umount", str(place)], SECONDS / 3)
    if code != 0:
        code, told = await run(["umount", "--lazy", str(place)], SECONDS / 3)
    if code != 0:
        raise VolumeFailure(f"umount {place}: {told.strip()}")


async def answers(place: Path) -> bool:
    """Whether what is mounted there still works; asked by a process, as it may hang."""
    code, _ = await run(["stat", "--file-system", str(place)], SECONDS / 3)
    return code == 0


async def run(words: Sequence[str], seconds: float) -> tuple[int, str]:
    """Its exit code and what it printed; in a process group of its own, which is killed when it takes too long.

    What it prints goes into a file: a pipe would stay open for as long as the daemon that it leaves behind.
    """
    with tempfile.TemporaryFile() as printed:
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=printed, stderr=asyncio.subprocess.STDOUT,
                start_new_session=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        except FileNotFoundError:
            return 127, f"{words[0]}: not found"
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            return 124, f"no answer within {seconds:g} s"
        finally:
            await _end(process)
        printed.seek(0)
        return process.returncode or 0, printed.read().decode(errors="replace")


async def _end(process: Process) -> None:
    """With all that it started. One that hangs in the kernel does not even die; nobody waits for it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 1)
