"""Make a bundle, where there is a network: `labkit bundle create`."""

import datetime
import gzip
import hashlib
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import labkit
from labkit.cluster import REPOSITORY
from labkit.provision import image, wheels
from labkit.provision.bundle import archive, keys
from labkit.provision.bundle.archive import CHUNK, FORMAT, Manifest, Member
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run
from labkit.provision.wheels import Target

MACHINE_PYTHON, MACHINE_GLIBC = "3.11", (2, 36)  # Debian 12's
IMAGE, HOST, README = "image.tar.gz", "host.zip", "README.txt"
PIP_SECONDS = 600
_LEVEL = 1  # of gzip: a tenth larger than 6, in a fifth of the time

Say = Callable[[str], None]


def create(path: Path, arches: Sequence[str], say: Say) -> Manifest:
    """Everything into `path`. arches: of machines, beside this computer's own, whose wheels are to be in it.

    Raises CommandFailed (machine "host"): no network, no docker, no space.
    """
    tag = image.ensure_image(say)
    targets = [Target(MACHINE_PYTHON, arch, MACHINE_GLIBC) for arch in dict.fromkeys([platform.machine(), *arches])]
    with tempfile.TemporaryDirectory(dir=_room(path), prefix=".bundle-") as name:
        scratch = Path(name)
        (scratch / README).write_text(_README)
        sources = {README: scratch / README}
        for target in targets:
            sources[wheels_of(target)] = _zip(wheels.fetch(target, say), scratch / wheels_of(target))
        if own := _host_wheels(scratch / "host", say):
            sources[HOST] = _zip(own, scratch / HOST)
        _save_image(tag, scratch / IMAGE, say)
        sources[IMAGE] = scratch / IMAGE
        say("hashing and signing")
        key = keys.own()
        manifest = Manifest(
            format=FORMAT, labkit=labkit.__version__, arch=platform.machine(), image=tag,
            made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            machines=[f"Python {target.python}, {target.arch}" for target in targets],
            public_key=keys.public(key), members=[member(each, source) for each, source in sources.items()],
        )  # fmt: skip
        say(f"writing {path}")
        try:
            archive.write(path, manifest, sources, key.sign)
        except OSError as exc:
            raise CommandFailed("host", f"write {path}", tail=str(exc.strerror)) from exc
    return manifest


def _room(path: Path) -> Path:
    """The folder of the file, which must be there and have space for it twice."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CommandFailed("host", f"write {path}", tail=f"there is no folder {folder}")
    return folder


def member(name: str, source: Path) -> Member:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Member(name, source.stat().st_size, digest)


def wheels_of(target: Target) -> str:
    """The member with a target's wheels."""
    return f"wheels-{wheels.key(target)}.zip"


def _zip(folder: Path, into: Path) -> Path:
    """Not packed a second time: wheels are."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(folder.iterdir()):
            file.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return into


def _host_wheels(into: Path, say: Say) -> Path | None:
    """labkit and all that it needs on a computer like this one; nothing when labkit runs from no checkout."""
    if not (REPOSITORY / "pyproject.toml").exists():
        say("labkit was not started from a checkout: the file will not have labkit's own wheel for other computers")
        return None
    say("fetching what labkit itself needs")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "wheel"]
    run("fetching what labkit itself needs", [*command, "--wheel-dir", str(into), str(REPOSITORY)], timeout=PIP_SECONDS)
    return into


def _save_image(tag: str, into: Path, say: Say) -> None:
    whole = int(run("ask docker for the image", ["docker", "image", "inspect", "-f", "{{.Size}}", tag], timeout=60))
    done = 0
    try:
        with _saved(tag) as stream, gzip.open(into, "wb", compresslevel=_LEVEL) as file:
            while chunk := stream.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                say(f"packing the machines' image: {min(99, 100 * done // whole)} %")
    except OSError as exc:
        raise CommandFailed("host", "pack the machines' image", tail=str(exc.strerror)) from exc


@contextmanager
def _saved(tag: str) -> Iterator[IO[bytes]]:
    command = ["docker", "save", tag]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        trouble = process.stderr.read().decode(errors="replace")
        if process.wait():
            raise CommandFailed("host", "pack the machines' image", " ".join(command), process.returncode, trouble)


_README = """A bundle of labkit: all that `labkit up` would fetch from the internet. It is a plain tar.

With labkit on the computer:      labkit bundle verify FILE
                                  labkit up --bundle FILE
Without, but with Python and pip: tar xf FILE host.zip && python3 -m zipfile -e host.zip host
                                  python3 -m venv labkit
                                  labkit/bin/pip install --no-index --find-links host labkit-classroom
                                  labkit/bin/labkit up --bundle FILE
The computer needs Debian's or Ubuntu's packages vagrant and docker.io beside it.
"""
