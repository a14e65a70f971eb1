"""The file system of a machine: Debian 12 from packages, trimmed, with the pods' images inside.

Runs as root in a process of its own (`python -m labkit.provision.tree MIRROR CACHE OUT.tar`), started by image.py;
it prints one line per step and removes all but OUT.tar, also when its parent dies first. CACHE keeps the packages
(about 180 MB), so that a second build only unpacks them.

    debootstrap, apt -> cut the pods' images out of the tree -> purge what only they needed -> trim -> tar
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from labkit.provision.errors import CommandFailed, without_passwords
from labkit.provision.process import OnLine, run
from labkit.provision.rootfs import POD_IMAGES, cut

SUITE = "bookworm"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
RECIPE = Path(__file__).resolve().parent.parent / "templates" / "machine"
OF_A_BUNDLE = (
    *("Acquire::Languages=none", "Acquire::Check-Valid-Until=false", "Acquire::Check-Date=false"),
    *(f"Acquire::CompressionTypes::{kind}=none" for kind in ("xz", "gz", "bz2", "lzma", "lz4", "zst")),
)
"""What apt is told where a bundle's archive is its source (bundle/packages.py), whose index lies there unpacked. In a
room without a network clocks differ, and a bundle is as old as it is."""
DROPPED = (
    *("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/lintian/*"),
    *("var/cache/apt/*.bin", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "var/log/*.log", "var/log/apt/*"),
    # Of containerd and docker: the shims before runc.v2 and the network daemons of swarm mode.
    *("usr/bin/containerd-shim", "usr/bin/containerd-shim-runc-v1", "usr/bin/dnet", "usr/sbin/ovrouter"),
    # Of git: what is written in Perl (mail, svn, cvs), and Perl's library, which nothing else here loads.
    *("usr/share/perl/*", "usr/share/perl5/*", "usr/lib/*/perl/*", "usr/share/gitweb", "usr/lib/git-core/git-gui*"),
)


def build(mirror: str, cache: Path, output: Path) -> None:
    """Write the tree as a tar. Raises CommandFailed, OSError."""
    cache.mkdir(parents=True, exist_ok=True)
    with directory_in(cache) as tree:
        grow(mirror, cache, tree)
        trim(tree)
        say("writing the tree")
        run("tar", ["tar", "-C", str(tree), "--numeric-owner", "-cf", str(output), "."], timeout=300)


def grow(mirror: str, cache: Path, tree: Path, more: Sequence[str] = ()) -> None:
    """Debian and the pods' images in the directory. more: packages beyond those that every machine has."""
    debian(mirror, cache, tree, [*listed("packages.txt"), *listed("packages-for-pods.txt"), *more])
    cut_pod_images(tree)
    say("removing what only those images needed")
    inside(tree, "dpkg", "--purge", *listed("packages-for-pods.txt"), timeout=120)


def debian(mirror: str, cache: Path, tree: Path, packages: Sequence[str]) -> None:
    """A Debian with the packages and what they depend on, as it is before its first boot.

    debootstrap makes the smallest one that has apt, and apt installs the rest, in half the time: debootstrap would
    fetch the packages one after the other. Raises CommandFailed, OSError.
    """
    debootstrap(mirror, cache, tree, ["ca-certificates"])  # which apt needs where the mirror is https
    # What a power cut leaves of a tree is thrown away, so nothing has to be on the disk at any moment before the end.
    options = [
        "DPkg::Options::=--force-unsafe-io",
        "DPkg::Use-Pty=0",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
    ]
    options += OF_A_BUNDLE if mirror.startswith("file://") else ()
    apt = ["apt-get", "-q", "--yes", "--no-install-recommends", *(f"-o{name}" for name in options)]
    with _cached(cache, tree / "var/cache/apt/archives"), _mounted(mirror, tree), _at_rest(tree):
        inside(tree, *apt, "update", timeout=300)
        try:
            inside(tree, *apt, "install", *packages, timeout=1500, on_line=Steps())
        except CommandFailed as exc:
            _forget_broken(cache, exc.tail)
            raise


@contextlib.contextmanager
def _cached(cache: Path, archives: Path) -> Iterator[None]:
    """apt finds the cache's packages in its archives; what it fetches goes into the cache, if the block fails too."""
    for path in cache.glob("*.deb"):
        (archives / path.name).unlink(missing_ok=True)  # a copy of debootstrap's
        os.link(path, archives / path.name)
    try:
        yield
    finally:
        for path in archives.glob("*.deb"):
            if (cache / path.name).exists():
                path.unlink()
            else:
                path.rename(cache / path.name)


@contextlib.contextmanager
def _mounted(mirror: str, tree: Path) -> Iterator[None]:
    """An archive in a folder of this host (out of a bundle) is seen in the tree as well, as /mnt."""
    if not mirror.startswith("file://"):
        yield
        return
    sources = tree / "etc/apt/sources.list"
    told = sources.read_text()
    sources.write_text(f"deb file:///mnt {SUITE} main\n")
    run("mount the archive", ["mount", "-o", "bind,ro", mirror.removeprefix("file://"), str(tree / "mnt")], timeout=30)
    try:
        yield
    finally:
        run("unmount the archive", ["umount", str(tree / "mnt")], timeout=30)
        sources.write_text(told)


@contextlib.contextmanager
def _at_rest(tree: Path) -> Iterator[None]:
    """What packages' scripts find while they are installed: /proc, and nobody who starts services."""
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    run("mount /proc in the tree", ["mount", "-t", "proc", "proc", str(tree / "proc")], timeout=30)
    try:
        yield
    finally:
        run("unmount /proc in the tree", ["umount", str(tree / "proc")], timeout=30)
        policy.unlink()


def _forget_broken(cache: Path, said: str) -> None:
    """Remove from the cache what dpkg could not read, or every further try would meet it. said: dpkg's last lines."""
    for name in re.findall(r"/var/cache/apt/archives/(\S+\.deb)", said):
        (cache / name).unlink(missing_ok=True)


def debootstrap(mirror: str, cache: Path, tree: Path, packages: Sequence[str], *flags: str) -> None:
    command = [
        *("debootstrap", "--variant=minbase", f"--cache-dir={cache}", f"--include={','.join(packages)}"),
        *("--force-check-gpg", f"--keyring={KEYRING}", *flags, SUITE, str(tree), mirror),
    ]
    env = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("debootstrap", command, timeout=1500, on_line=Steps(), env=env)
    except CommandFailed as exc:
        log = tree / "debootstrap/debootstrap.log"  # it only names this file, which is about to be removed
        said = log.read_text(errors="replace") if log.exists() else exc.tail
        raise CommandFailed("host", "debootstrap", rc=exc.rc, tail=said) from exc


def inside(tree: Path, *command: str, timeout: float = 600, on_line: OnLine | None = None) -> str:
    """Run it in the tree, in an environment of its own, and return what it prints. Raises CommandFailed, TimedOut."""
    proxy = [f"{name}={value}" for name in ("http_proxy", "https_proxy") if (value := os.environ.get(name))]
    words = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", *proxy]
    return run(command[0], ["chroot", str(tree), *words, *command], timeout=timeout, on_line=on_line)


def listed(name: str, recipe: Path = RECIPE) -> list[str]:
    """The packages that a file of the recipe lists, one a line, `#` for remarks."""
    lines = (recipe / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def cut_pod_images(tree: Path) -> None:
    folder = tree / "usr/share/labkit/images"
    folder.mkdir(parents=True)
    for image in POD_IMAGES:
        say(f"image for pods: {image.name}")
        (folder / f"{image.name}.tar").write_bytes(cut(tree, image))


def trim(tree: Path) -> None:
    """Remove what no machine reads (a third of the tree). Python's compiled files stay: components start faster."""
    for pattern in DROPPED:
        for path in tree.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextlib.contextmanager
def directory_in(cache: Path) -> Iterator[Path]:
    """A new directory, removed at the end. So are those of builds that were killed: one builds at a time."""
    for left in cache.glob("tree-*"):
        _remove(left)
    directory = Path(tempfile.mkdtemp(dir=cache, prefix="tree-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    """What debootstrap has mounted there first, or /proc would go with it."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((point for point in mounted if point.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], timeout=30, check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", directory], timeout=300, check=False)


class Steps:
    """Says what debootstrap and apt are doing, every 25 packages: they print several lines for each."""

    VERBS: ClassVar = {
        "I: Retrieving": "fetching", "I: Unpacking": "unpacking", "I: Configuring": "configuring",
        "Get:": "fetching", "Unpacking": "unpacking", "Setting up": "configuring",
    }  # fmt: skip

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __call__(self, line: str) -> None:
        if line.startswith(("W:", "E:")):
            say(without_passwords(line))
        found = re.match(r"(I: [A-Z][a-z]+|Get:|Unpacking|Setting up)\S* \S", line)
        if found and (verb := self.VERBS.get(found[1])):
            self._counts[verb] = self._counts.get(verb, 0) + 1
            if self._counts[verb] % 25 == 1:
                say(f"{verb} packages ({self._counts[verb]})")


def say(line: str) -> None:
    print(line, flush=True)


def end_with_parent() -> None:
    """Our standard input is a pipe from image.py that closes when it dies. (A signal may not pass through sudo.)"""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
        sys.exit(1)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    mirror, cache, output = sys.argv[1:]
    end_with_parent()
    try:
        build(mirror, Path(cache), Path(output))
    except (CommandFailed, OSError) as exc:
        Path(output).unlink(missing_ok=True)
        sys.exit(exc.tail if isinstance(exc, CommandFailed) else str(exc))


if __name__ == "__main__":
    main()
