"""Runs on a machine, not on the host: prints as one line of JSON what provisioning must know about it.

Sent through SSH to the machine's own `python3 -`, so it may import nothing but the standard library and reads no other
file of labkit. `facts.py` says what the fields mean.
"""

import grp
import hashlib
import json
import platform
import pwd
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STAMPS = Path("/opt/labkit/stamps")
IMAGES = Path("/usr/share/labkit/images")
REPOSITORIES = Path("/var/lib/docker-registry/docker/registry/v2/repositories/library")
ETCDCTL = (
    "etcdctl --command-timeout=3s --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/pki/ca.crt"
    " --cert=/etc/etcd/pki/operator.crt --key=/etc/etcd/pki/operator.key"
)


def file_fact(path: str) -> dict[str, Any] | None:
    try:
        found = Path(path).stat()
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None
    try:
        owner = f"{pwd.getpwuid(found.st_uid).pw_name}:{grp.getgrgid(found.st_gid).gr_name}"
    except KeyError:
        owner = f"{found.st_uid}:{found.st_gid}"
    return {"digest": digest, "mode": found.st_mode & 0o7777, "owner": owner}


def output(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def unit_facts(units: list[str]) -> dict[str, dict[str, Any]]:
    wanted = ("Id", "ActiveState", "SubState", "UnitFileState", "NRestarts", "MainPID", "ActiveEnterTimestampMonotonic")
    text = output(["systemctl", "show", "--property", ",".join(wanted), *units]) if units else ""
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n")]
    return {
        block["Id"].removesuffix(".service"): {
            "active": block["ActiveState"],
            "sub": block["SubState"],
            "enabled": block["UnitFileState"] == "enabled",
            "restarts": int(block.get("NRestarts") or 0),
            "pid": int(block.get("MainPID") or 0),
            "seconds": max(
                0, int(time.monotonic()) - int(block.get("ActiveEnterTimestampMonotonic") or 0) // 1_000_000
            ),
        }
        for block in blocks
        if "Id" in block
    }


def etcd_auth() -> bool:
    """Whether etcd refuses its operator what lies outside /registry/."""
    return "permission denied" in output([*ETCDCTL.split(), "get", "/labkit"])


def memory() -> tuple[int, int]:
    """(bytes in use, page cache that can be dropped left out; bytes allowed) of the machine."""
    for used, limit, stat, key in (
        ("memory.current", "memory.max", "memory.stat", "inactive_file"),
        ("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        root = Path("/sys/fs/cgroup")
        if (root / used).exists():
            numbers = dict(line.split() for line in (root / stat).read_text().splitlines())
            allowed = (root / limit).read_text().strip()
            return int((root / used).read_text()) - int(numbers.get(key, 0)), int(allowed) if allowed.isdigit() else 0
    info = dict(line.split()[:2] for line in Path("/proc/meminfo").read_text().splitlines())
    total = int(info["MemTotal:"]) * 1024
    return total - int(info["MemAvailable:"]) * 1024, total


def main() -> None:
    asked = json.loads(sys.argv[1])
    units = unit_facts(asked["units"])
    used, allowed = memory()
    images = sorted(IMAGES.glob("*.tar"))
    print(
        json.dumps(
            {
                "hostname": platform.node(),
                "kernel": platform.release(),
                "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
                "arch": platform.machine(),
                "glibc": [int(part) for part in platform.libc_ver()[1].split(".")[:2]],
                "users": [user.pw_name for user in pwd.getpwall()],
                "files": {path: fact for path in asked["files"] if (fact := file_fact(path))},
                "units": units,
                "stamps": {path.name: path.read_text() for path in STAMPS.glob("*")} if STAMPS.is_dir() else {},
                "etcdAuth": units.get("etcd", {}).get("active") == "active" and etcd_auth(),
                "images": {path.stem: f"{path.stat().st_size}-{path.stat().st_mtime_ns}" for path in images},
                "pushed": [path.name for path in REPOSITORIES.glob("*") if (path / "_manifests/tags/latest").is_dir()],
                "memoryUsed": used,
                "memoryAllowed": allowed,
            }
        )
    )


if __name__ == "__main__":
    main()
