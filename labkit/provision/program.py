"""Is a program on this host? An ordinary user of Debian has no /usr/sbin on the PATH, where iptables, dockerd and
debootstrap are: root, or sudo, runs them all the same."""

import os
import shutil

FOR_ROOT = "/usr/local/sbin:/usr/sbin:/sbin"


def where(name: str) -> str | None:
    """Its path, also where only root's PATH leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{FOR_ROOT}")
