"""Which mount command, what its failure means; and commands that hang."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit.api.types import Volume
from labkit.components.kubelet import remote_mounts
from labkit.components.kubelet.remote_mounts import Remote, command, last_words, mend, remote_of, run
from labkit.components.kubelet.volume_files import VolumeFailure

GLUSTER = {"glusterfs": {"endpoints": "glusterfs-cluster", "path": "data"}}
NFS = {"nfs": {"server": "files", "path": "/exports"}}
PLACE, LOG = Path("/pods/u/volumes/kubernetes.io~glusterfs/v"), Path("/pods/u/v.log")


def volume(source: dict[str, Any], **more: Any) -> Volume:
    [kind] = source
    return msgspec.convert({"name": "v", kind: source[kind] | more}, Volume)


@pytest.mark.parametrize(
    ("one", "servers", "expected"),
    [
        (volume({"emptyDir": {}}), [], None),
        (volume(GLUSTER), ["10.0.0.1"], Remote("glusterfs", "10.0.0.1:data", ("rw",))),
        (volume(GLUSTER, readOnly=True), ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
         Remote("glusterfs", "10.0.0.2:data", ("ro", "backup-volfile-servers=10.0.0.1:10.0.0.3"))),
        (volume(NFS), [], Remote("nfs", "files:/exports", ("rw", "retry=0"))),
        (volume(NFS, readOnly=True), [], Remote("nfs", "files:/exports", ("ro", "retry=0"))),
    ],
)  # fmt: skip
def test_what_to_mount(one: Volume, servers: list[str], expected: Remote | None) -> None:
    assert remote_of(one, servers, near="10.0.0.2") == expected


def test_the_command() -> None:
    remote = Remote("glusterfs", "10.0.0.1:data", ("rw",))
    plain = ["mount", "-t", "glusterfs", "-o", f"rw,log-file={LOG}", "10.0.0.1:data", str(PLACE)]
    assert command(remote, PLACE, LOG, systemd=False) == plain
    with_scope = command(remote, PLACE, LOG, systemd=True)
    assert with_scope[:2] == ["systemd-run", "--quiet"]
    assert "--scope" in with_scope
    assert with_scope[-7:] == plain
    assert "log-file" not in " ".join(command(Remote("nfs", "files:/", ("rw",)), PLACE, LOG, systemd=False))


@pytest.mark.parametrize(
    ("kind", "helper", "filesystems", "fuse", "told"),
    [
        ("nfs", False, "nodev\tnfs4\n", True, "mount.nfs is not on this machine: apt-get install nfs-common"),
        ("nfs", True, "nodev\tnfsd\n\text4\n", True, "the kernel of this machine has no nfs: modprobe nfs on the host"),
        ("nfs", True, "nodev\tnfs4\n\text4\n", True, ""),
        ("glusterfs", False, "", True, "mount.glusterfs is not on this machine: apt-get install glusterfs-client"),
        ("glusterfs", True, "", False, "there is no /dev/fuse on this machine"),
        ("glusterfs", True, "", True, ""),
    ],
)
def test_the_mend(kind: str, helper: bool, filesystems: str, fuse: bool, told: str) -> None:
    found = mend(Remote(kind, "s:/", ()), filesystems, helper=helper, fuse=fuse)
    assert found.startswith(told)
    assert bool(found) == bool(told)


def test_the_last_error_of_a_log() -> None:
    log = """[2026-11-22 20:00:00.0 +0000] I [MSGID: 100030] [glusterfsd.c:2767:main] 0-: Started running version
[2026-11-22 20:00:01.0 +0000] E [glusterfsd-mgmt.c:2118:mgmt_getspec_cbk] 0-glusterfs: failed to get the 'volume file'
[2026-11-22 20:00:02.0 +0000] W [glusterfsd.c:1429:cleanup_and_exit] 0-: received signum (0), shutting down
"""
    assert last_words(log).endswith("failed to get the 'volume file'")
    assert last_words("") == ""


async def test_a_command_that_hangs_is_ended() -> None:
    began = time.monotonic()
    assert await run(["sh", "-c", "sleep 60 & sleep 60"], 0.3) == (124, "no answer within 0.3 s")
    assert time.monotonic() - began < 10
    assert (await run(["no-such-program"], 1))[0] == 127


async def test_the_daemon_that_a_command_leaves_is_not_waited_for() -> None:
    """As mount.glusterfs leaves its FUSE process, which keeps the output open."""
    began = time.monotonic()
    code, told = await run(["sh", "-c", "sleep 20 & echo $!"], 60)
    os.kill(int(told), signal.SIGKILL)
    assert code == 0
    assert time.monotonic() - began < 15
    assert await run(["sh", "-c", "echo out; echo err >&2; exit 3"], 10) == (3, "out\nerr\n")


async def test_a_mount_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(words: list[str], seconds: float) -> tuple[int, str]:
        assert words[-1] == str(tmp_path)
        return 32, "mount: unknown filesystem type\n       dmesg(1) may have more\n"

    monkeypatch.setattr(remote_mounts, "run", refused)
    monkeypatch.setattr(remote_mounts, "mend", lambda *_, **__: "install it")
    log = tmp_path / "log"
    log.write_text("[t] E [x.c:1:f] 0-x: DNS resolution failed\n")
    with pytest.raises(VolumeFailure) as failure:
        await remote_mounts.mount(Remote("glusterfs", "s:data", ("rw",)), tmp_path, log)
    expected = (
        "mount -t glusterfs s:data failed: mount: unknown filesystem type: 0-x: DNS resolution failed: install it"
    )
    assert str(failure.value) == expected
