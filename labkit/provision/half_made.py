"""What an `up` of virtual machines under libvirt left that was cut off: Ctrl-C, no room on the disk, a host that went
down. Vagrant knows nothing of it, and would refuse a name that is taken or start from half a disk.

    the box's volume   smaller than the box: the copying into libvirt's pool was cut off
    a machine's disk   of a machine that Vagrant has not made, and nobody has a machine of that name
    a machine          defined, not in Vagrant's books, and bearing this cluster's own key

Anything else of that name is somebody else's: it is named, and left alone. Errors: CommandFailed with machine "host".
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from labkit.cluster import Cluster
from labkit.provision import box, libvirt
from labkit.provision.errors import CommandFailed
from labkit.provision.process import OnLine, run

POOL = "default"
WHAT = "clear away what was half made"
STILL_COPYING = 60.0
"""Seconds since a volume last grew, within which another cluster's `up` may still be at it."""


def clear(cluster: Cluster, not_made: Iterable[str], say: OnLine) -> None:
    """not_made: names of machines that Vagrant does not have."""
    domains = set(_virsh("list", "--all", "--name").split())
    volumes = _volumes()
    setting = libvirt.setting(cluster)
    if setting:
        _clear_box(setting.box, volumes, say)
    key = (cluster.state / "ssh" / "id_ed25519.pub").read_text().split()[1]
    for name in not_made:
        domain = cluster.container(cluster.machine(name))
        if domain in domains:
            _clear_machine(domain, key, say)
        if f"{domain}.img" in volumes:
            say(f"removing the disk {domain}.img, left by an earlier try")
            _virsh("vol-delete", "--pool", POOL, f"{domain}.img")


def _clear_box(name: str, volumes: Iterable[str], say: OnLine) -> None:
    folder = box.folder(name)
    prefix = f"{name.replace('/', '-VAGRANTSLASH-')}_vagrant_box_image_"
    if folder is None or not (folder / "box.img").exists():
        return
    for volume in volumes:
        if volume.startswith(prefix) and cut_off(_virsh("vol-dumpxml", "--pool", POOL, volume), folder / "box.img"):
            say(f"the box in libvirt's pool is not whole: removing {volume}")
            _virsh("vol-delete", "--pool", POOL, volume)


def cut_off(described: str, image: Path, now: float | None = None) -> bool:
    """Whether the volume that libvirt describes in XML is a copy of the image that nobody goes on with."""
    size, changed = (re.search(pattern, described) for pattern in (r"<physical[^>]*>(\d+)<", r"<mtime>([\d.]+)<"))
    if not size or int(size[1]) >= image.stat().st_size:
        return False
    return not changed or (now or time.time()) - float(changed[1]) > STILL_COPYING


def _clear_machine(domain: str, key: str, say: OnLine) -> None:
    if key not in _virsh("dumpxml", domain):
        mend = f"give this cluster another name, or look at it (`virsh dumpxml {domain}`) and remove it"
        raise CommandFailed("host", WHAT, tail=f"libvirt has a machine {domain} that is not of this cluster: {mend}")
    say(f"removing {domain}, half made by an earlier try")
    if _virsh("domstate", domain).strip() != "shut off":
        _virsh("destroy", domain)
    _virsh("undefine", domain)


def _volumes() -> set[str]:
    """None where the pool is not there yet: Vagrant makes it."""
    try:
        lines = _virsh("vol-list", POOL).splitlines()[2:]
    except CommandFailed:
        return set()
    return {line.split()[0] for line in lines if line.strip()}


def _virsh(*words: str) -> str:
    return run(WHAT, ["virsh", "--connect", libvirt.URI, *words], timeout=60)
