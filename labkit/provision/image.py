"""The image that machines run as containers: labkit-node:HASH, built from Debian packages when it is missing.

    tree.py (as root)                ->  REPOSITORY-base:HASH    packages, pods' images: minutes, rarely
    templates/venv, docker build     ->  REPOSITORY-venv:HASH    what components import, from wheels: seconds
    templates/machine, docker build  ->  REPOSITORY:HASH         configuration only: seconds

HASH is that of all that goes in, so an image whose tag exists is up to date. No step talks to an image registry;
packages come from the host's own Debian mirror ($LABKIT_DEBIAN_MIRROR, its apt sources, or Debian's own), through its
proxy if it has one. Two builds at the same time: the second waits for the first and finds its work done.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from labkit.provision import program, rootfs, tree, wheels
from labkit.provision.box_tree import GLIBC, PYTHON
from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.process import run
from labkit.provision.tree import RECIPE
from labkit.provision.venv import install_dependencies

VENV_RECIPE = RECIPE.parent / "venv"
ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULT_MIRROR = "http://deb.debian.org/debian"
SPACE_NEEDED = 4 * 2**30
"""Bytes: the tree, its tar and the packages where the cache is; docker keeps a copy of the tree."""

Progress = Callable[[str], None]


def ensure_image(progress: Progress, source: str = "") -> str:
    """The tag of the node image, built if it is not there; `progress` gets a line for each step.

    source: the URL of the Debian archive for a build (default: debian_mirror()).
    Raises CommandFailed with machine "host" (exit code 3): no docker, no debootstrap, no network, no space.
    """
    wanted = tags()
    if exists(wanted.node):
        return wanted.node
    with only_one(progress):
        if not exists(wanted.base):
            _build_base(wanted.base, source or debian_mirror(), progress)
        if not exists(wanted.venv):
            _build_venv(wanted.base, wanted.venv, progress)
        if not exists(wanted.node):
            progress(f"building {wanted.node}")
            build_node(wanted.venv, wanted.node)
    return wanted.node


class Tags(NamedTuple):
    """What each of the three images is called."""

    base: str
    venv: str
    node: str


def tags() -> Tags:
    """The images' names, from what goes into each."""
    repository = os.environ.get("LABKIT_IMAGE_REPOSITORY", "labkit-node")
    packages = sorted(RECIPE.glob("packages*.txt"))
    base = digest([Path(rootfs.__file__), *packages], seed=f"{tree.SUITE} {tree.DROPPED}")
    installed = install_dependencies(PYTHON, wheels.lock_digest())
    venv = digest([VENV_RECIPE / "Dockerfile"], seed=f"{base} {installed}")
    node = digest(sorted(path for path in RECIPE.rglob("*") if path.is_file()), seed=venv)
    return Tags(f"{repository}-base:{base}", f"{repository}-venv:{venv}", f"{repository}:{node}")


def target(arch: str) -> wheels.Target:
    """The Python of our own image and box, on machines of that architecture."""
    return wheels.Target(PYTHON, arch, GLIBC)


def digest(paths: list[Path], seed: str = "") -> str:
    """12 hexadecimal digits for the names, contents and executable bits of the files."""
    found = hashlib.sha256(seed.encode())
    for path in paths:
        found.update(f"{path.name} {path.stat().st_mode & 0o100} {path.stat().st_size}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _build_venv(base: str, venv: str, progress: Progress) -> None:
    """The components' dependencies, once here and not on each machine. Raises CommandFailed: no wheels, no docker."""
    fetched = wheels.fetch(target(wheels.architecture()), progress)
    progress("installing the components' dependencies")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(VENV_RECIPE / "Dockerfile", folder)
        shutil.copytree(fetched, Path(folder) / "wheels")
        command = ["docker", "build", "--network", "none", "--build-arg", f"BASE={base}", "--build-arg"]
        command += [f"INSTALL={install_dependencies(PYTHON, wheels.lock_digest())}", "--tag", venv, folder]
        run("install the components' dependencies", command, timeout=600)
    leftovers = ["docker", "image", "prune", "--force", "--filter", "label=labkit.stage=wheels"]
    run("remove what the build left", leftovers, timeout=60)


def build_node(base: str, node: str) -> None:
    """The configuration layer: seconds, without network."""
    command = ["docker", "build", "--network", "none", "--build-arg", f"BASE={base}", "--tag", node, str(RECIPE)]
    run("build the node image", command, timeout=300)


def mirror(indextargets: str, environment: str = "") -> str:
    """The URL of a Debian archive: the environment's, else the first of apt's sources that is Debian's main archive.

    indextargets: lines `ORIGIN URL` as apt-get prints them (see `_apt_sources`). Ubuntu's own archive has no Debian.
    """
    if environment:
        return environment.rstrip("/")
    for line in indextargets.splitlines():
        origin, _, url = line.strip().partition(" ")
        if origin == "Debian" and re.match(r"https?://", url) and "security" not in url:
            return url.rstrip("/")
    return DEFAULT_MIRROR


def debian_mirror() -> str:
    """The URL of the archive that packages come from on this host."""
    return mirror(_apt_sources(), os.environ.get("LABKIT_DEBIAN_MIRROR", ""))


def cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labkit"


def _build_base(base: str, source: str, progress: Progress) -> None:
    check_before_build()
    packages, output = cache_dir() / "debs", cache_dir() / f"tree-{os.getpid()}.tar"
    progress("building the machines' file system from Debian packages (2 to 5 minutes, once)")
    command = [
        *as_root(progress),
        "env",
        *proxy(),
        sys.executable,
        "-m",
        "labkit.provision.tree",
        source,
        str(packages),
        str(output),
    ]
    try:
        run("build the machines' file system", command, timeout=1800, on_line=progress, leash=True, cwd=ROOT)
        progress("handing it to docker")
        run("import the machines' file system", ["docker", "import", str(output), base], timeout=600)
    except CommandFailed as exc:
        hint = f"packages come from {source}; LABKIT_DEBIAN_MIRROR names another mirror"
        raise CommandFailed("host", "build the node image", rc=exc.rc, tail=f"{exc.tail}\n{hint}") from exc
    finally:
        output.unlink(missing_ok=True)


def check_before_build() -> None:
    what = "build the node image"
    if not program.where("debootstrap"):
        raise CommandFailed("host", what, tail="debootstrap is not installed: `apt-get install debootstrap`")
    if not tree.KEYRING.exists():
        raise CommandFailed("host", what, tail=f"{tree.KEYRING} is missing: `apt-get install debian-archive-keyring`")
    need_space(SPACE_NEEDED, what)


def need_space(needed: int, what: str) -> None:
    """Raises CommandFailed when the cache's disk has fewer bytes free."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache_dir()).free
    if free < needed:
        raise CommandFailed("host", what, tail=f"{cache_dir()}: {free / 2**30:.1f} GB free, {needed >> 30} GB needed")


def as_root(progress: Progress) -> list[str]:
    """What to put in front of a command that needs root. sudo asks for the password here, where there is a terminal."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise CommandFailed(
            "host", "build the node image", tail="this needs root, and there is no sudo: run it as root"
        )
    progress("debootstrap needs root: sudo may ask for your password")
    if subprocess.run(["sudo", "-v"], timeout=300, check=False).returncode != 0:
        raise CommandFailed("host", "build the node image", "sudo -v", tail="debootstrap needs root")
    return ["sudo", "-n"]


def _apt_sources() -> str:
    return _ask_apt("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages")


def proxy() -> list[str]:
    """['http_proxy=http://...'] as the environment says, or else apt; debootstrap's wget does not ask apt."""
    given = os.environ.get("http_proxy") or _ask_apt("apt-config", "dump", "--format", "%v%n", "Acquire::http::Proxy")
    return [f"http_proxy={given}"] if re.match(r"https?://\S+$", given.strip()) else []


def _ask_apt(*command: str) -> str:
    try:
        return run("ask apt", command, timeout=30)
    except CommandFailed:  # no apt on this host, so nothing that it knows
        return ""


def exists(tag: str) -> bool:
    command = ["docker", "image", "ls", "--quiet", tag]
    return bool(run("ask docker for its images", command, timeout=60).strip())


@contextlib.contextmanager
def only_one(progress: Progress, patience: float = 1800) -> Iterator[None]:
    """One build at a time on this host, of the image or of a box; the lock goes with the process."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "image.lock").open("w") as file:
        deadline = time.monotonic() + patience
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimedOut("host", "wait for another build of the node image", patience) from None
                if not told:
                    progress("waiting for another build of the node image")
                    told = True
                time.sleep(0.5)
        yield
