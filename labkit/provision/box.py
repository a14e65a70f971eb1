"""The box that virtual machines are made from: the public Debian 12 box where it is reached, else our own.

    own box     labkit/machine-HASH, built by box_tree.py from Debian packages (2 to 5 minutes, once, as root): all
                that a machine needs is inside, nothing is fetched at its first boot, and its network has no way out
    public box  debian/bookworm64; each machine installs the packages at its first boot, so it needs the internet

HASH is that of all that goes in. What was built once is what machines are made from, so `labkit box build` is also how
one chooses; $LABKIT_BOX names another box, `own` never asks for the public one. Packages are kept: a build that was
interrupted fetches only what it lacks.
"""

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from labkit.provision import box_tree, image, program, rootfs, tree, wheels
from labkit.provision.box_tree import BOX_RECIPE
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run
from labkit.provision.tree import RECIPE

PUBLIC = "debian/bookworm64"
WHAT = "build the machines' box"
SPACE_NEEDED = 5 * 2**30
"""Bytes where the cache is: the tree, the disk twice, packages. Vagrant keeps a copy of the box."""
PROGRAMS = {"debootstrap": "debootstrap", "qemu-img": "qemu-utils", "mke2fs": "e2fsprogs", "cpio": "cpio",
            "vagrant": "vagrant"}  # fmt: skip
"""What the build runs, and the package that has it."""
QUIET = {"VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1", "VAGRANT_NO_COLOR": "1"}

Progress = Callable[[str], None]


def name() -> str:
    """The own box's, from what goes into it."""
    paths = [Path(box_tree.__file__), Path(rootfs.__file__), wheels.LOCK]
    paths += sorted(path for folder in (RECIPE, BOX_RECIPE) for path in folder.rglob("*") if path.is_file())
    return f"labkit/machine-{image.digest(paths, seed=f'{tree.SUITE} {tree.DROPPED} {platform.machine()}')}"


def home() -> Path:
    """Where Vagrant keeps its boxes."""
    return Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")


def folder(box: str) -> Path | None:
    """Where Vagrant has the files of the box for libvirt; None when it has not. (2.4 has a folder per architecture.)"""
    found = sorted((home() / "boxes" / box.replace("/", "-VAGRANTSLASH-")).glob("*/**/libvirt/metadata.json"))
    return found[-1].parent if found else None


def is_own(box: str) -> bool:
    return box.startswith("labkit/")


def choose(progress: Progress) -> str:
    """The name of a box that Vagrant has: built or fetched when there is none. Raises CommandFailed."""
    wanted = os.environ.get("LABKIT_BOX", "")
    if wanted and wanted != "own":
        return wanted
    if folder(name()):
        return name()
    # The public box is made for PCs only.
    if not wanted and platform.machine() == "x86_64" and (folder(PUBLIC) or _fetched(PUBLIC, progress)):
        return PUBLIC
    return build(progress)


def build(progress: Progress) -> str:
    """The own box's name; built and handed to Vagrant when it is not there. Raises CommandFailed (machine "host")."""
    with image.only_one(progress):
        if not folder(name()):
            _build(progress)
    return name()


def add(box: str, file: Path) -> None:
    """Vagrant has it from now on. Raises CommandFailed."""
    command = ["vagrant", "box", "add", "--force", "--provider", "libvirt", "--name", box, str(file)]
    run("add the box", command, timeout=600, env=QUIET)


def _fetched(box: str, progress: Progress) -> bool:
    progress(f"fetching the public box {box}")
    command = ["vagrant", "box", "add", "--provider", "libvirt", box]
    try:
        run("fetch the box", command, timeout=1200, on_line=progress, env=QUIET)
    except CommandFailed as exc:
        reason = (exc.tail.strip().splitlines() or ["no answer"])[-1]
        progress(f"it cannot be had ({reason}): labkit builds its own")
        return False
    return True


def _build(progress: Progress) -> None:
    _check()
    source = image.debian_mirror()
    output = image.cache_dir() / f"{name().partition('/')[2]}.box"
    dependencies = wheels.fetch(wheels.Target(box_tree.PYTHON, platform.machine(), box_tree.GLIBC), progress)
    progress("building a virtual machine's disk from Debian packages (2 to 5 minutes, once)")
    command = [
        *(*image.as_root(progress), "env", *image.proxy(), sys.executable, "-m", "labkit.provision.box_tree"),
        *(source, str(image.cache_dir() / "debs"), str(dependencies), str(output)),
    ]
    try:
        run(WHAT, command, timeout=1800, on_line=progress, leash=True, cwd=image.ROOT)
        progress("handing it to Vagrant")
        add(name(), output)
    except CommandFailed as exc:
        hint = f"packages come from {source}; LABKIT_DEBIAN_MIRROR names another mirror"
        raise CommandFailed("host", WHAT, rc=exc.rc, tail=f"{exc.tail}\n{hint}") from exc
    finally:
        output.unlink(missing_ok=True)


def _check() -> None:
    for name, package in PROGRAMS.items():
        if not program.where(name):
            raise CommandFailed("host", WHAT, tail=f"{name} is not installed: `apt-get install {package}`")
    if not tree.KEYRING.exists():
        raise CommandFailed("host", WHAT, tail=f"{tree.KEYRING} is missing: `apt-get install debian-archive-keyring`")
    image.need_space(SPACE_NEEDED, WHAT)
