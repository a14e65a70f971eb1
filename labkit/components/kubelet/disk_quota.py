"""What a container may write outside its volumes, and whether docker can have the kernel bound it: project quotas, on
XFS mounted for them.

    docker info                     Driver overlay2, Backing Filesystem xfs
    /proc/self/mountinfo            36 29 254:1 / /var/lib/docker rw,relatime - xfs /dev/vdb rw,...,prjquota

Then a container gets `--storage-opt size=`: a tenth more than its allowance. At that the kernel says "no space left on
device" to it alone, and the kubelet, which measures every 10 s (disks.py), finds it over its allowance all the same.
Source: docker run --storage-opt; xfs(5), pquota.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.api.quantity import value
from labkit.api.types import Container


def is_there(about: Mapping[str, Any], mountinfo: str) -> bool:
    """about: docker info; mountinfo: of this machine."""
    backing = dict(pair for pair in about.get("DriverStatus") or [] if len(pair) == 2)
    if (about.get("Driver"), backing.get("Backing Filesystem")) != ("overlay2", "xfs"):
        return False
    root = Path(about["DockerRootDir"])
    mounted = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        mounted[Path(left.split(" ")[4])] = right.split(" ")[2].split(",")  # what is mounted later hides the earlier
    options = next((mounted[place] for place in [root, *root.parents] if place in mounted), [])
    return bool({"prjquota", "pquota"} & set(options))


def allowance_of(spec: Container, allowance: int) -> int:
    """Bytes that a container may write outside its volumes, 0 for no bound."""
    limit = spec.resources.limits.get("ephemeral-storage")
    return allowance if limit is None else value(limit)


def bound(allowance: int) -> int:
    """Bytes that the kernel lets a container write: more than its allowance, or nobody would see who went over it."""
    return allowance + allowance // 10 if allowance else 0
