"""Which parts of the Linux kernel machines need, and whether the host's has them.

A part may be a loaded module, built in, or not there. Machines that are containers share the host's kernel and cannot
load anything themselves. A built-in part is in no list of modules, so several traces are looked for.
"""

import contextlib
import gzip
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

OPTIONS = {
    "br_netfilter": "CONFIG_BRIDGE_NETFILTER",
    "overlay": "CONFIG_OVERLAY_FS",
    "fuse": "CONFIG_FUSE_FS",
    "nf_tables": "CONFIG_NF_TABLES",
    "ip_tables": "CONFIG_IP_NF_IPTABLES",
}
"""What is needed, by the name that modprobe takes: packets between pods of one machine pass iptables, docker's storage,
distributed volumes, iptables and its older binaries. Beside it the option that builds it in."""


def missing(root: Path = Path("/"), release: str = "") -> list[str]:
    """The parts that neither run nor are built in. `root` and `release` (uname -r) are for tests."""
    there = _running(root) | _built_in(root, release or os.uname().release)
    return [name for name in OPTIONS if name not in there]


def load(names: Sequence[str]) -> None:
    """modprobe each; what cannot be loaded is still missing afterwards, which the caller looks at."""
    for name in names:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["modprobe", name], capture_output=True, timeout=20, check=False)


def _running(root: Path) -> set[str]:
    """Loaded modules, built-in ones with parameters, and file systems."""
    found = {path.name for path in (root / "sys/module").glob("*")}
    found |= {line.split()[-1] for line in _lines(root / "proc/filesystems")}
    if (root / "proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        found.add("br_netfilter")
    return found


def _built_in(root: Path, release: str) -> set[str]:
    """From modules.builtin (`kernel/net/bridge/br_netfilter.ko`) or the kernel's configuration (`CONFIG_FUSE_FS=y`)."""
    found = {Path(line).stem.replace("-", "_") for line in _lines(root / f"lib/modules/{release}/modules.builtin")}
    config = {*_lines(root / f"boot/config-{release}"), *_lines(root / "proc/config.gz")}
    return found | {name for name, option in OPTIONS.items() if f"{option}=y" in config}


def _lines(path: Path) -> list[str]:
    """The file's lines that are not empty; none when it is not there."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [line for line in re.split(r"\n+", text.decode(errors="replace")) if line.strip()]
