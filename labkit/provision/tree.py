"""The file system of a machine: Debian 12 from packages, trimmed, with the pods' images inside.

Runs as root in a process of its own (`python -m labkit.provision.tree MIRROR CACHE OUT.tar`), started by image.py;
it prints one line per step and removes all but OUT.tar, also when its parent dies first. CACHE keeps the packages
(about 180 MB), so that a second build only unpacks them.

    debootstrap -> cut the pods' images out of the tree -> purge what only they needed -> trim -> tar
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

from labkit.provision.errors import CommandFailed, without_passwords
from labkit.provision.process import run
from labkit.provision.rootfs import POD_IMAGES, cut

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
RECIPE = Path(__file__).resolve().parent.parent / "templates" / "machine"
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
    debootstrap(mirror, cache, tree, [*listed("packages.txt"), *listed("packages-for-pods.txt"), *more])
    cut_pod_images(tree)
    say("removing what only those images needed")
    run("purge", ["chroot", str(tree), "dpkg", "--purge", *listed("packages-for-pods.txt")], timeout=120)


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
    """Says what debootstrap is doing, every 25 packages: it prints several lines for each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __call__(self, line: str) -> None:
        if line.startswith(("W:", "E:")):
            say(without_passwords(line))
        if found := re.match(r"I: (Retrieving|Validating|Extracting|Unpacking|Configuring) \S", line):
            verb = found[1]
            self._counts[verb] = self._counts.get(verb, 0) + 1
            if verb in ("Retrieving", "Unpacking", "Configuring") and self._counts[verb] % 25 == 1:
                say(f"{verb.lower()} packages ({self._counts[verb]})")


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
