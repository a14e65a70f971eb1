"""Make a bundle, where there is a network: `labkit bundle create`."""

import datetime
import gzip
import hashlib
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import labkit
from labkit.provision import box, host, image, wheels
from labkit.provision.bundle import archive, host_wheels, keys, packages
from labkit.provision.bundle.archive import CHUNK, FORMAT, Manifest, Member
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run
from labkit.provision.wheels import Target

IMAGE, PACKAGES, BOX, HOST, README = "image.tar.gz", "packages.zip", "box.tar.gz", "host.zip", "README.txt"
_LEVEL = 1  # of gzip: a tenth larger than 6, in a fifth of the time

Say = Callable[[str], None]


@dataclass(frozen=True)
class Contents:
    """What machines are made from. packages: Debian's in place of the image, which the room builds then; box: for
    libvirt; arches: of machines, beside this computer's own, whose wheels are wanted."""

    packages: bool = False
    box: bool = False
    arches: Sequence[str] = ()


def create(path: Path, contents: Contents, say: Say) -> Manifest:
    """Everything into `path`. Raises CommandFailed (machine "host"): no network, no docker, no space."""
    if not contents.packages:
        host.need_docker(say)  # before minutes of fetching
    arch = wheels.architecture()
    targets = [image.target(each) for each in dict.fromkeys([arch, *contents.arches])]
    with tempfile.TemporaryDirectory(dir=_room(path), prefix=".bundle-") as name:
        try:
            sources = _gathered(Path(name), contents, targets, say)
            say("hashing and signing")
            key = keys.own()
            manifest = Manifest(
                format=FORMAT, labkit=labkit.__version__, arch=arch, image=image.tags().node,
                box=box.name() if contents.box else "",
                made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                machines=[f"Python {target.python}, {target.arch}" for target in targets],
                public_key=keys.public(key), members=[member(each, source) for each, source in sources.items()],
            )  # fmt: skip
            say(f"writing {path}")
            archive.write(path, manifest, sources, key.sign)
        except OSError as exc:
            raise CommandFailed("host", f"write {path}", tail=str(exc.strerror)) from exc
    return manifest


def _gathered(scratch: Path, contents: Contents, targets: list[Target], say: Say) -> dict[str, Path]:
    """The members by name, small ones first: who serves the file has its README in the first megabyte."""
    (scratch / README).write_text(_README)
    sources = {README: scratch / README}
    for target in targets:
        sources[wheels_of(target)] = zipped(wheels.fetch(target, say), scratch / wheels_of(target))
    sources[HOST] = zipped(host_wheels.fetch(scratch / "host", targets[0].arch, say), scratch / HOST)
    if contents.packages:
        sources[PACKAGES] = zipped(packages.fetch(scratch / "archive", say), scratch / PACKAGES)
    else:
        _save_image(image.ensure_image(say), scratch / IMAGE, say)
        sources[IMAGE] = scratch / IMAGE
    if contents.box:
        sources[BOX] = _save_box(scratch / BOX, say)
    return sources


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


def zipped(folder: Path, into: Path) -> Path:
    """All files of the folder. What is packed already is not packed a second time."""
    with zipfile.ZipFile(into, "w") as file:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            kind = zipfile.ZIP_STORED if path.suffix in (".whl", ".deb") else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes(), kind)
    return into


def _save_box(into: Path, say: Say) -> Path:
    """As Vagrant takes it in, from what Vagrant has; built first if it is missing."""
    folder = box.folder(box.build(say))
    if folder is None:
        raise CommandFailed("host", "pack the machines' box", tail="Vagrant does not have it: `labkit box build`")
    say("packing the machines' box")
    with tarfile.open(into, "w:gz", compresslevel=_LEVEL) as file:
        for path in sorted(folder.iterdir()):
            file.add(path, path.name)
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
host.zip is for Python 3.11 to 3.13 on Linux. The computer needs Debian's or Ubuntu's packages vagrant and docker.io
beside it; for machines from box.tar.gz (`--provider libvirt`) vagrant-libvirt and what `labkit doctor` names; to build
the machines' image from packages.zip debootstrap and debian-archive-keyring.
"""
