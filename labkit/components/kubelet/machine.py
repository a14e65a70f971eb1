"""What this machine is and has, read from /proc, /sys and /etc: cores, memory, versions.

A lab machine is often a container itself. Then /proc/meminfo shows the host's memory, and the bound that holds is the
one of the machine's own cgroup, at the root of what it sees under /sys/fs/cgroup (version 1 or 2).
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
_UNBOUNDED = 1 << 60  # cgroup v1 writes "no limit" as a number near 2**63


@dataclass(frozen=True)
class Machine:
    """cpu in thousandths of a core, memory in bytes, booted in seconds since 1970."""

    cpu: int
    memory: int
    machine_id: str
    system_uuid: str
    boot_id: str
    booted: float
    kernel: str
    os_image: str
    architecture: str
    capabilities_missing: frozenset[int]  # numbers of the capabilities that no process here can have


def inspect(root: Path = ROOT) -> Machine:
    """Look at the machine; files that are not there count as empty."""
    machine_id = _read(root / "etc/machine-id")
    return Machine(
        cpu=_cpu(root),
        memory=_memory(root),
        machine_id=machine_id,
        system_uuid=_read(root / "sys/class/dmi/id/product_uuid") or machine_id,
        boot_id=_read(root / "proc/sys/kernel/random/boot_id"),
        booted=float(_values(root / "proc/stat", " ").get("btime", 0)),
        kernel=platform.release(),
        os_image=_values(root / "etc/os-release", "=").get("PRETTY_NAME", "").strip('"'),
        architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        capabilities_missing=_missing_capabilities(root),
    )


def _memory(root: Path) -> int:
    """The smaller of what the machine has and what its cgroup may use."""
    total = int(_values(root / "proc/meminfo", ":").get("MemTotal", "0").split()[0]) * 1024
    group = root / "sys/fs/cgroup"
    text = _read(group / "memory.max") or _read(group / "memory/memory.limit_in_bytes")
    limit = int(text) if text.isdigit() else _UNBOUNDED
    return min(total, limit) if limit < _UNBOUNDED else total


def _cpu(root: Path) -> int:
    """Cores that we may run on, or the cgroup's quota where that is less."""
    cores = len(os.sched_getaffinity(0)) * 1000
    group = root / "sys/fs/cgroup"
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(group / "cpu/cpu.cfs_quota_us"), _read(group / "cpu/cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit():
        return cores
    return min(cores, int(quota) * 1000 // int(period))


def _missing_capabilities(root: Path) -> frozenset[int]:
    last = _read(root / "proc/sys/kernel/cap_last_cap")
    bounding = _values(root / "proc/self/status", ":").get("CapBnd", "")
    if not last.isdigit() or not bounding:
        return frozenset()
    return frozenset(number for number in range(int(last) + 1) if not int(bounding, 16) >> number & 1)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _values(path: Path, separator: str) -> dict[str, str]:
    """A file of `name<separator>value` lines."""
    pairs = (line.partition(separator) for line in _read(path).splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
