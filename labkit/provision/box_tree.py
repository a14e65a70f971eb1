"""The disk, kernel and initrd of our own Vagrant box: Debian 12 from packages, with all that a lab machine needs.

Runs as root in a process of its own (`python -m labkit.provision.box_tree MIRROR CACHE WHEELS OUT.box`), started by
box.py; it prints one line per step and removes all but OUT.box. CACHE keeps the packages, shared with the node image.
No loop device, no mount, no boot loader: the disk is one ext4 file system, and QEMU is given the kernel.

    tree.grow -> kernel -> the recipe of every machine, box.sh -> the components' venv -> trim -> initrd -> disk (qcow2)
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from labkit.provision.errors import CommandFailed
from labkit.provision.process import run
from labkit.provision.tree import PATH, RECIPE, directory_in, end_with_parent, grow, inside, listed, say, trim
from labkit.provision.venv import install_dependencies
from labkit.provision.wheels import lock_digest

BOX_RECIPE = RECIPE.parent / "box"
DISK_GB = 8
"""The disk as the machine sees it; the file grows with what is written."""
PYTHON, GLIBC = "3.11", (2, 36)
"""Debian 12's."""
DRIVERS = ("virtio_pci", "virtio_mmio", "virtio_blk", "ext4", "qemu_fw_cfg")
METADATA = '{"provider": "libvirt", "format": "qcow2", "virtual_size": %d}\n' % DISK_GB  # noqa: UP031  braces of JSON


def build(mirror: str, cache: Path, wheels: Path, output: Path) -> None:
    """Write the box. wheels: the folder with the machines' dependencies. Raises CommandFailed, OSError."""
    cache.mkdir(parents=True, exist_ok=True)
    with directory_in(cache) as scratch:
        scratch.chmod(0o700)
        tree, box = scratch / "tree", scratch / "box"
        tree.mkdir(mode=0o755)
        box.mkdir()
        grow(mirror, cache, tree, listed("packages.txt", BOX_RECIPE))
        release = kernel(tree)
        configure(tree)
        dependencies(tree, wheels)
        trim(tree)
        initrd(tree, release, box / "initrd.img")
        shutil.move(tree / f"boot/vmlinuz-{release}", box / "vmlinuz")
        for path in tree.glob("boot/*"):
            path.unlink()
        disk(tree, scratch / "disk.raw", box / "box.img")
        pack(box, output)


def kernel(tree: Path) -> str:
    """Unpack Debian's kernel for virtual machines; its release, `6.1.0-50-cloud-amd64`.

    Unpacked, not installed: its installation would make an initrd for every computer there is.
    """
    say("fetching the kernel")
    architecture = inside(tree, "dpkg", "--print-architecture").strip()
    depends = inside(tree, "apt-cache", "depends", f"linux-image-cloud-{architecture}")
    found = re.search(r"Depends: (linux-image-(\S+))", depends)
    if not found:
        raise CommandFailed("host", "find the kernel's package", tail=depends)
    package, release = found[1], found[2]
    inside(tree, "sh", "-c", f"cd /tmp && apt-get -qq -o APT::Sandbox::User=root download {package}")
    # Unpacked by tar and not by `dpkg -x`: /lib is a link, which has to stay one.
    archive = "dpkg-deb --fsys-tarfile /tmp/linux-image-*.deb | tar -C / --keep-directory-symlink -x"
    inside(tree, "sh", "-c", f"{archive} && rm /tmp/linux-image-*.deb")
    inside(tree, "depmod", release)
    return release


def configure(tree: Path) -> None:
    """What vm.sh does to a public box, done here once."""
    say("configuring it")
    shutil.copytree(RECIPE / "files", tree, dirs_exist_ok=True, symlinks=True)
    for script in (RECIPE / "setup.sh", BOX_RECIPE / "box.sh"):
        shutil.copy(script, tree / "tmp")
        inside(tree, "sh", f"tmp/{script.name}")
        (tree / "tmp" / script.name).unlink()
    for path in (tree / "etc/resolv.conf", tree / "etc/hostname"):  # debootstrap's copies of the host's
        path.unlink(missing_ok=True)
    (tree / "etc/resolv.conf").touch()


def dependencies(tree: Path, wheels: Path) -> None:
    """What provisioning would do on each machine, with the same command: a minute and a half where it is emulated."""
    say("installing the components' dependencies")
    command = ["chroot", str(tree), "env", "-i", f"PATH={PATH}", "LC_ALL=C.UTF-8", "sh", "-c"]
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in sorted(wheels.glob("*.whl")):
                archive.add(path, path.name)
        packed.seek(0)
        done = subprocess.run(
            [*command, install_dependencies(PYTHON, lock_digest())], stdin=packed, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
    if done.returncode:
        raise CommandFailed("host", "install the dependencies", rc=done.returncode, tail=done.stdout + done.stderr)
    for path in (tree / "opt/labkit/wheels").glob("*.whl"):
        path.unlink()


def initrd(tree: Path, release: str, output: Path) -> None:
    """A cpio archive of 2 MB: busybox, the disk's drivers in the order that modprobe knows, templates/box/init."""
    say("making the initrd")
    root = output.parent.parent / "initrd"
    for name in ("bin", "dev", "sys", "mnt", "lib"):
        (root / name).mkdir(parents=True)
    shutil.copy(tree / "usr/bin/busybox", root / "bin")
    (root / "bin/sh").symlink_to("busybox")
    names = [path for driver in DRIVERS for path in _files_of(tree, release, driver)]
    for path in dict.fromkeys(names):
        shutil.copy(tree / path.lstrip("/"), root / "lib")
    (root / "modules").write_text("".join(f"{Path(path).name}\n" for path in dict.fromkeys(names)))
    shutil.copy(BOX_RECIPE / "init", root)
    (root / "init").chmod(0o755)
    packed = f"cd {root} && find . | LC_ALL=C sort | cpio -o -H newc --quiet | gzip -9n"
    run("make the initrd", ["sh", "-c", f"{packed} >{output}"], timeout=120)


def _files_of(tree: Path, release: str, driver: str) -> list[str]:
    """None for a driver that this processor's kernel does not have."""
    try:
        return modules(inside(tree, *modprobe(release, driver)))
    except CommandFailed:
        return []


def modprobe(release: str, driver: str) -> list[str]:
    return ["modprobe", "--set-version", release, "--show-depends", driver]


def modules(printed: str) -> list[str]:
    """The files in what `modprobe --show-depends` prints: `insmod /lib/modules/.../virtio.ko`; a built-in has none."""
    return re.findall(r"^insmod (\S+)", printed, re.MULTILINE)


def disk(tree: Path, raw: Path, output: Path) -> None:
    """The tree as a file system, without mounting anything."""
    say("writing the disk")
    with raw.open("wb") as file:
        file.truncate(DISK_GB * 2**30)
    run("make the file system", ["mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", str(tree), str(raw)], timeout=600)
    shutil.rmtree(tree)
    run("make the disk", ["qemu-img", "convert", "-O", "qcow2", str(raw), str(output)], timeout=600)
    raw.unlink()


def pack(box: Path, output: Path) -> None:
    say("packing the box")
    (box / "metadata.json").write_text(METADATA)
    for name in ("Vagrantfile", "qemu-tcg"):
        shutil.copy(BOX_RECIPE / name, box)
    (box / "qemu-tcg").chmod(0o755)  # an installed wheel may have lost it
    partial = output.with_suffix(".partial")
    with tarfile.open(partial, "w") as archive:
        for path in sorted(box.iterdir()):
            archive.add(path, path.name, filter=_anonymous)
    partial.rename(output)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def main() -> None:
    mirror, cache, wheels, output = sys.argv[1:]
    end_with_parent()
    try:
        build(mirror, Path(cache), Path(wheels), Path(output))
    except (CommandFailed, OSError, subprocess.SubprocessError) as exc:
        Path(output).with_suffix(".partial").unlink(missing_ok=True)
        sys.exit(exc.tail if isinstance(exc, CommandFailed) else str(exc))


if __name__ == "__main__":
    main()
