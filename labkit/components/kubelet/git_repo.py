"""A volume that is a clone of a git repository: made once, before the pod's containers, and theirs from then on.

    repository  https, http, git or ssh; nothing of the machine's own disk
    revision    a commit, tag or branch; none: the repository's default branch
    directory   where in the volume; none: a folder of the repository's name, ".": the volume itself

git runs with nobody's configuration and asks nobody for a password. Source: pkg/volume/git_repo of Kubernetes 1.0.
"""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from labkit.api.types import GitRepoVolumeSource
from labkit.components.kubelet.volume_files import VolumeFailure

SECONDS = 300
PROTOCOLS = "https:http:git:ssh"
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/nonexistent",
    "GIT_ALLOW_PROTOCOL": PROTOCOLS, "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C.UTF-8",
}  # fmt: skip


def check(source: GitRepoVolumeSource) -> None:
    """Raises VolumeFailure for what must not get to git's command line or out of the volume."""
    parts = PurePosixPath(source.directory).parts
    if source.directory.startswith("/") or ".." in parts:
        raise VolumeFailure(f"gitRepo.directory: {source.directory!r}: expected a folder below the volume")
    for field, text in (("repository", source.repository), ("revision", source.revision)):
        if text.startswith("-"):
            raise VolumeFailure(f"gitRepo.{field}: {text!r} must not begin with '-'")


async def clone(source: GitRepoVolumeSource, path: Path) -> None:
    """Make `path` the volume; nothing is there when it fails. Raises VolumeFailure."""
    check(source)
    half_made = path.with_name(f"{path.name}.cloning")
    await asyncio.to_thread(shutil.rmtree, half_made, ignore_errors=True)
    half_made.mkdir(parents=True)
    try:
        await _git(half_made, "clone", "--", source.repository, *([source.directory] if source.directory else []))
        if source.revision:
            work = half_made / (source.directory or next(half_made.iterdir()).name)
            await _git(work, "checkout", "--detach", "-q", source.revision)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, half_made, ignore_errors=True)
        raise
    half_made.chmod(0o777)
    half_made.rename(path)


async def _git(folder: Path, *words: str) -> None:
    process = await _start(folder, words)
    try:
        async with asyncio.timeout(SECONDS):
            _, told = await process.communicate()
    except TimeoutError as exc:
        why = f"no end within {SECONDS} s: is the repository's machine reachable?"
        raise VolumeFailure(f"git {words[0]}: {why}") from exc
    finally:
        await _end(process)
    if process.returncode != 0:
        lines = told.decode(errors="replace").strip().splitlines()
        raise VolumeFailure(f"git {words[0]} failed: {' '.join(lines[-2:])}")


async def _start(folder: Path, words: Sequence[str]) -> Process:
    """git with these words, in a process group of its own; ended again when we are cancelled meanwhile."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.file.allow=never", *words]
    environment = {"PATH": os.environ.get("PATH", os.defpath)} | _ENVIRONMENT
    nothing = asyncio.subprocess.DEVNULL
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment, stdin=nothing, stdout=nothing, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )  # fmt: skip
    try:
        return await asyncio.shield(starting)
    except FileNotFoundError as exc:
        raise VolumeFailure(
            "git is not installed on this machine: install it (apt-get install git), or use another kind of volume"
        ) from exc
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            await _end(starting.result())
        raise


async def _end(process: Process) -> None:
    """With all that it started: ssh, a helper."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
