"""The wheels that a machine installs: its dependencies, picked for its own Python by a lock file, and labkit itself.

Machines have no internet, so the host fetches. What fits is decided by the machine's Python version, ABI, architecture
and C library (`Target`), never by the host's:

    machine.lock + Target ──> ~/.cache/labkit/wheels/KEY/*.whl        fetched once, checked against the lock's hashes
    labkit/ (the machine wing)  ──> labkit-VERSION-py3-none-any.whl   built here, the same bytes from the same files
"""

import hashlib
import io
import os
import platform
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flit_core import common, config, wheel

from labkit.cluster import REPOSITORY
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run

LOCK = Path(__file__).parent / "machine.lock"
SDISTS = ("etcd3",)
"""Packages that publish no wheel: built into a pure one on the host."""
BUILDERS = ("setuptools",)
"""What builds them; not for the machines."""
HOST_WING = (
    "cli.py",
    "cli",
    "cluster.py",
    "cluster_rules.py",
    "guide",
    "provision",
    "shipped",
    "start.py",
    "observe",
    "faults",
    "templates",
    "testing",
)
"""What of labkit/ never runs on a machine, hence is not sent there."""
FETCH_SECONDS = 300
PROJECT = {
    "build-system": {"requires": []},
    "project": {"name": "labkit", "dynamic": ["version", "description"], "license-files": []},
}
"""What the wheel says of itself. It is never published: pyproject.toml describes the one for the host."""
EPOCH = (2016, 1, 1, 0, 0, 0)
"""The time of every file in our wheel: the same files give the same bytes."""


@dataclass(frozen=True)
class Target:
    """A machine's Python: ("3.11", "x86_64", (2, 36)) is Debian 12's on a PC."""

    python: str
    arch: str
    glibc: tuple[int, int]

    @property
    def abi(self) -> str:
        return "cp" + self.python.replace(".", "")

    def pip_flags(self) -> list[str]:
        """How pip is told to choose for another Python than the one it runs on."""
        major, minor = self.glibc
        platforms = [f"manylinux_{major}_{older}_{self.arch}" for older in range(minor, 4, -1)]
        platforms += [f"manylinux2014_{self.arch}", f"linux_{self.arch}"]
        flags = ["--python-version", self.python, "--implementation", "cp", "--only-binary", ":all:"]
        flags += [word for abi in (self.abi, "abi3", "none") for word in ("--abi", abi)]
        return flags + [word for platform in platforms for word in ("--platform", platform)]


def architecture() -> str:
    """This computer's, by the name that wheels and machines have for it (macOS and Windows have others)."""
    found = platform.machine().lower()
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(found, found)


def cache_dir() -> Path:
    """$LABKIT_WHEELS, or the user's cache."""
    if given := os.environ.get("LABKIT_WHEELS"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labkit" / "wheels"


def lock_digest() -> str:
    """What changes when the machines' dependencies do."""
    return hashlib.sha256(repr(blocks(LOCK.read_text())).encode()).hexdigest()[:16]


def key(target: Target) -> str:
    """The name of the folder with a target's wheels: another lock, another folder."""
    return hashlib.sha256(f"{lock_digest()} {target}".encode()).hexdigest()[:16]


def blocks(lock: str) -> dict[str, str]:
    """{'etcd3': 'etcd3==0.12.0 --hash=...'}: one requirement per package, as pip reads them."""
    joined = re.sub(r"\\\n\s*", "", lock)
    found = (line for line in joined.splitlines() if line and not line.startswith("#"))
    return {line.partition("==")[0]: line for line in found}


def fetch(target: Target, on_line: Callable[[str], None] = lambda line: None) -> Path:
    """The directory with every wheel for that target; fetched and built when it is not in the cache yet.

    Raises CommandFailed (machine "host") with pip's last words.
    """
    final = cache_dir() / key(target)
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".") as scratch:
        wheels = Path(scratch) / "wheels"
        _download(target, wheels, on_line)
        _build_sdists(Path(scratch), wheels, on_line)
        try:
            wheels.rename(final)
        except OSError:  # another `up` was faster: its directory is as good
            if not final.exists():
                raise
    return final


def _download(target: Target, into: Path, on_line: Callable[[str], None]) -> None:
    requirements = blocks(LOCK.read_text())
    on_line(f"fetching {len(requirements)} wheels for Python {target.python} on {target.arch}")
    wanted = [text for name, text in requirements.items() if name not in SDISTS + BUILDERS]
    _pip(
        "download", *target.pip_flags(), "--dest", str(into), requirements=wanted, what="fetching the machines' wheels"
    )


def _build_sdists(scratch: Path, into: Path, on_line: Callable[[str], None]) -> None:
    """Build with the locked builders only: they are unpacked for this one build, nothing of the host's is used."""
    requirements = blocks(LOCK.read_text())
    fetched, builders = scratch / "fetched", scratch / "builders"
    _pip(
        "download", "--only-binary", ":all:", "--dest", str(fetched),
        requirements=[requirements[name] for name in BUILDERS], what="fetching what builds wheels",
    )  # fmt: skip
    for path in fetched.glob("*.whl"):
        zipfile.ZipFile(path).extractall(builders)
    for name in SDISTS:
        on_line(f"building a wheel of {name}")
        _pip(
            "wheel", "--no-build-isolation", "--no-binary", name, "--wheel-dir", str(into),
            requirements=[requirements[name]], what=f"building a wheel of {name}",
            env={"PYTHONPATH": str(builders), "SOURCE_DATE_EPOCH": "1451606400"},
        )  # fmt: skip
        if not list(into.glob(f"{name}-*-none-any.whl")):
            raise CommandFailed("host", f"building a wheel of {name} that fits every machine", "pip wheel")


def _pip(verb: str, *flags: str, requirements: list[str], what: str, env: dict[str, str] | None = None) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements) + "\n")
        file.flush()
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", verb, "--no-deps"]
        command += ["--require-hashes", *flags, "-r", file.name]
        run(what, command, timeout=FETCH_SECONDS, env=env)


class MachineWing(common.Module):  # type: ignore[misc]  # flit_core carries no types
    """labkit without its host wing."""

    def iter_files(self) -> Iterator[str]:
        return (path for path in super().iter_files() if Path(path).relative_to(self.path).parts[0] not in HOST_WING)


@dataclass(frozen=True)
class Wheel:
    """labkit's own: its file name, its bytes, and the digest of each file in it by its path."""

    name: str
    content: bytes
    files: dict[str, str]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]

    def code_digest(self, component: str) -> str:
        """What changes when the code of one component does: its package and the ground floor, not its neighbours'.

        `component` is a package of labkit/components ("kube_proxy").
        """
        own = sorted(item for item in self.files.items() if _is_used_by(component, Path(item[0])))
        return hashlib.sha256(repr(own).encode()).hexdigest()[:16]


def _is_used_by(component: str, path: Path) -> bool:
    wing, *rest = path.parts[1:]
    if wing == "components":
        return len(rest) == 1 or rest[0] == component
    return wing != "storage" or component == "kube_apiserver"


def build(repository: Path = REPOSITORY) -> Wheel:
    """labkit's own wheel for the machines, in memory: the same bytes from a checkout and from an installed wheel."""
    info = config.prep_toml_config(PROJECT, repository / "pyproject.toml")
    module = MachineWing(info.module, repository)
    out = io.BytesIO()
    builder = wheel.WheelBuilder(repository, module, common.make_metadata(module, info), {}, out, None)
    builder.source_time_stamp = EPOCH
    builder.build()
    files = {path: digest for path, digest, _ in builder.records if path.startswith("labkit/")}
    return Wheel(builder.wheel_filename, out.getvalue(), files)
