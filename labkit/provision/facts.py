"""What a machine is like now: one question, one answer, one round trip. `plan` compares it with what it should be."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from labkit.provision.ssh import Ssh
from labkit.provision.wheels import Target

LOOK_SECONDS = 30
BOOT_SECONDS = 40
"""A machine that has just booted is looked at when its units have started by themselves, or after so long."""
FULL = 0.9
"""Of a disk, or of the memory that a machine may use."""
LOOK = Path(__file__).parent / "look.py"


class FileFact(msgspec.Struct, frozen=True):
    """digest: sha256 in hex; mode: permission bits; owner: "user:group"."""

    digest: str
    mode: int
    owner: str


class UnitFact(msgspec.Struct, frozen=True):
    """systemd's words: active "active" | "failed" ..., sub "running" ...

    restarts: how often systemd had to; seconds: since it became active."""

    active: str
    sub: str = ""
    enabled: bool = False
    restarts: int = 0
    pid: int = 0
    seconds: int = 0


class Facts(msgspec.Struct, rename="camel"):
    """stamps: what was done to the machine, under which digest; images: the pods' images that the machine carries, by
    size and time; pushed: those that its registry serves; memory in bytes (0: no limit)."""

    hostname: str = ""
    kernel: str = ""
    python: str = "3.11"
    arch: str = "x86_64"
    glibc: tuple[int, int] = (2, 36)
    users: list[str] = []
    files: dict[str, FileFact] = {}
    units: dict[str, UnitFact] = {}
    stamps: dict[str, str] = {}
    etcd_auth: bool = False
    images: dict[str, str] = {}
    pushed: list[str] = []
    memory_used: int = 0
    memory_allowed: int = 0

    @property
    def short_of_memory(self) -> bool:
        """The kernel is about to end processes there, or has begun."""
        return 0 < self.memory_allowed * FULL < self.memory_used

    @property
    def target(self) -> Target:
        return Target(self.python, self.arch, self.glibc)


def gather(ssh: Ssh, files: Sequence[str], units: Sequence[str], wait_for_boot: bool = True) -> Facts:
    """Ask about these files and units. Raises CommandFailed."""
    booted = (
        f"timeout {BOOT_SECONDS * ssh.patience:g} systemctl is-system-running --wait >/dev/null; "
        if wait_for_boot
        else ""
    )
    asked = json.dumps({"files": list(files), "units": list(units)})
    answer = ssh.run(
        f"{booted}python3 - {shlex.quote(asked)}",
        timeout=BOOT_SECONDS + LOOK_SECONDS,
        input=LOOK.read_bytes(),
        what="looking at the machine",
    )
    return msgspec.json.decode(answer.out, type=Facts)
