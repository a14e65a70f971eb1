"""What else the host is like, beyond what `labkit up` itself asks (host_facts.py): gathered here, judged in host.py."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from labkit.cluster import Cluster
from labkit.provision import image, program
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run

LIMITS = ("fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "fs/file-max", "kernel/pid_max")
_CAPABILITIES = {
    0: "CHOWN", 1: "DAC_OVERRIDE", 3: "FOWNER", 4: "FSETID", 5: "KILL", 6: "SETGID", 7: "SETUID", 8: "SETPCAP",
    10: "NET_BIND_SERVICE", 12: "NET_ADMIN", 13: "NET_RAW", 18: "SYS_CHROOT", 19: "SYS_PTRACE", 21: "SYS_ADMIN",
    27: "MKNOD", 29: "AUDIT_WRITE", 31: "SETFCAP",
}  # fmt: skip
"""What a machine that is a container is given (Vagrantfile), by its bit (linux/capability.h)."""


class Route(msgspec.Struct, frozen=True):
    cidr: str
    device: str


class Conditions(msgspec.Struct, kw_only=True):
    """versions: program -> "2.3.4" (absent: not there). cgroup: 1, 2, or 0 for none. missing_capabilities: of dockerd.
    limits: name under /proc/sys -> value. open_files: soft limit of this process. virtual: this host is a virtual
    machine itself. image: whether the machines' image is here. resolvers: addresses."""

    python: str = ""
    versions: dict[str, str] = {}
    docker: dict[str, Any] = {}
    cgroup: int = 0
    memory_cgroup: bool = True
    missing_capabilities: list[str] = []
    limits: dict[str, int] = {}
    open_files: int = 0
    kvm: bool = False
    virtual: bool = False
    image: bool = True
    debootstrap: bool = True
    routes: list[Route] = []
    resolvers: list[str] = []
    inodes: dict[str, int] = {}


def look(cluster: Cluster, docker_running: bool) -> Conditions:
    """In a second or two: Vagrant alone takes most of it to say its version."""
    docker = _docker_info() if docker_running else {}
    return Conditions(
        python=".".join(map(str, sys.version_info[:3])),
        versions=_versions(docker),
        docker=docker,
        cgroup=_cgroup(),
        memory_cgroup=_has_memory_controller(),
        missing_capabilities=_missing_capabilities(),
        limits={name: int(Path("/proc/sys", name).read_text()) for name in LIMITS if Path("/proc/sys", name).exists()},
        open_files=_open_files(),
        kvm=os.access("/dev/kvm", os.R_OK | os.W_OK),
        virtual="hypervisor" in Path("/proc/cpuinfo").read_text(),
        image=docker_running and _has_image(),
        debootstrap=program.where("debootstrap") is not None,
        routes=_routes(),
        resolvers=re.findall(r"^nameserver\s+(\d[\d.]+)", _text("/etc/resolv.conf"), re.MULTILINE),
        inodes={str(path): os.statvfs(path).f_favail for path in _existing(image.cache_dir(), cluster.state)},
    )


def _versions(docker: dict[str, Any]) -> dict[str, str]:
    found = {"docker": docker["ServerVersion"]} if docker.get("ServerVersion") else {}
    for name in ("vagrant", "iptables", "ip"):
        if path := program.where(name):
            printed = _asked(path, "-V" if name == "ip" else "--version")
            number = re.search(r"(\d+\.\d+[\d.]*)", printed)
            found[name] = number[1] if number else "?"
    return found


def _docker_info() -> dict[str, Any]:
    printed = _asked("docker", "info", "--format", "{{json .}}")
    return json.loads(printed) if printed.startswith("{") else {}


def _cgroup() -> int:
    mounts = [line.split() for line in _text("/proc/mounts").splitlines()]
    kinds = {fields[2] for fields in mounts if len(fields) > 2 and fields[1].startswith("/sys/fs/cgroup")}
    return 1 if "cgroup" in kinds else 2 if "cgroup2" in kinds else 0


def _has_memory_controller() -> bool:
    second = Path("/sys/fs/cgroup/cgroup.controllers")
    return "memory" in second.read_text().split() if second.exists() else Path("/sys/fs/cgroup/memory").exists()


def _missing_capabilities() -> list[str]:
    """What docker here cannot give because it lacks it itself; nothing where docker runs elsewhere."""
    for status in Path("/proc").glob("[0-9]*/status"):
        text = _text(status)
        if text.startswith("Name:\tdockerd\n"):
            found = re.search(r"^CapBnd:\t([0-9a-f]+)", text, re.MULTILINE)
            held = int(found[1], 16) if found else -1
            return [name for bit, name in _CAPABILITIES.items() if not held >> bit & 1]
    return []


def _open_files() -> int:
    found = re.search(r"^Max open files\s+(\d+)", _text("/proc/self/limits"), re.MULTILINE)
    return int(found[1]) if found else 1 << 20


def _has_image() -> bool:
    return bool(_asked("docker", "image", "ls", "--quiet", image.tags().node))


def _routes() -> list[Route]:
    """Where packets go, the default route left out. (A VPN shows itself here.)"""
    printed = _asked("ip", "-json", "-4", "route", "show", "table", "all")
    found = json.loads(printed) if printed.startswith("[") else []
    wanted = [one for one in found if one.get("type") in (None, "unicast") and one["dst"] != "default"]
    return [Route(_cidr(one["dst"]), one.get("dev", "")) for one in wanted]


def _cidr(destination: str) -> str:
    return destination if "/" in destination else f"{destination}/32"


def _existing(*paths: Path) -> set[Path]:
    return {next(up for up in (path, *path.parents) if up.exists()) for path in paths}


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:  # processes come and go
        return ""


def _asked(*command: str) -> str:
    try:
        return run(f"ask {command[0]}", command, timeout=30).strip()
    except CommandFailed:
        return ""
