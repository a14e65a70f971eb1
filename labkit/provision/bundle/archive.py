"""The file: a plain tar whose first members say what the others must be.

    manifest.json    what is in it, for which labkit; of each member the size and the SHA-256
    manifest.sig     64 bytes: its maker's Ed25519 signature of manifest.json
    README.txt       how to use it, for who has nothing but the file
    wheels-KEY.zip   what the machines install, by their Python and architecture (provision/wheels.py)
    host.zip         labkit itself and what it needs, for pip
    image.tar.gz     the machines' image, as `docker save` has it, with the pods' images inside
    packages.zip     or, in its place, the Debian packages that it is made from
    box.tar.gz       what virtual machines are made from, as `vagrant box add` takes it

Whoever has the first kilobytes knows how long the whole must be: a copy that broke off is told by its length alone.
Nothing is unpacked before its hash was compared.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec
from cryptography.exceptions import InvalidSignature

from labkit.provision.bundle import keys
from labkit.provision.errors import BundleError

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
CHUNK = 1 << 20
_BLOCK = 512  # of tar
_MOST_MANIFEST = 1 << 20  # bytes; a bundle has some ten members

Progress = Callable[[int], None]
"""Told how many bytes more are done."""


class Member(msgspec.Struct):
    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True):
    """labkit: the version that made it; image: the tag that it carries, or has the packages of; box: the same of a box;
    machines: their Pythons; made: RFC 3339."""

    format: int
    labkit: str
    made: str
    arch: str
    image: str
    box: str = ""
    machines: list[str]
    public_key: str
    members: list[Member]

    @property
    def size(self) -> int:
        """Bytes of the members."""
        return sum(member.size for member in self.members)


class Bundle:
    """A file that was opened: its manifest is its maker's, its length right. Its members are not yet looked at."""

    def __init__(self, path: Path, manifest: Manifest, first: int, digest: str) -> None:
        self.path = path
        self.manifest = manifest
        self.digest = digest  # of the manifest, and so of all
        self.first = first  # byte at which the first member's header stands

    @property
    def fingerprint(self) -> str:
        return keys.fingerprint(self.manifest.public_key)

    def verify(self, progress: Progress = lambda count: None) -> None:
        """Read all of it. Raises BundleError, naming the first member that is not what was signed."""
        for member in self.manifest.members:
            self.copy(member, None, progress)

    def copy(self, member: Member, into: IO[bytes] | None, progress: Progress = lambda count: None) -> None:
        """The member's bytes, which are compared while they pass. Raises BundleError: what was written is worthless."""
        found = hashlib.sha256()
        for chunk in self._chunks(member):
            found.update(chunk)
            if into is not None:
                into.write(chunk)
            progress(len(chunk))
        if found.hexdigest() != member.sha256:
            raise BundleError(f"{self.path}: {member.name} is not what was signed: {COPY_AGAIN}")

    def _chunks(self, wanted: Member) -> Iterator[bytes]:
        at = self.first
        for member in self.manifest.members:
            if member.name == wanted.name:
                break
            at += _BLOCK + _padded(member.size)
        with self.path.open("rb") as file:
            file.seek(at)
            header = file.read(_BLOCK)
            if _name(header) != wanted.name:
                raise BundleError(f"{self.path}: {wanted.name} is not where it must be: {COPY_AGAIN}")
            left = wanted.size
            while left:
                chunk = file.read(min(CHUNK, left))
                if not chunk:
                    raise BundleError(f"{self.path}: ends in the middle of {wanted.name}: {COPY_AGAIN}")
                left -= len(chunk)
                yield chunk


COPY_AGAIN = "copy it again (`labkit bundle fetch URL` and `rsync --append-verify` go on where a copy broke off)"


def open_bundle(path: Path) -> Bundle:
    """Read the manifest and prove its signature. Raises BundleError."""
    try:
        with path.open("rb") as file:
            raw = _take(path, file, MANIFEST)
            signature = _take(path, file, SIGNATURE)
            first = file.tell()
            length = os.fstat(file.fileno()).st_size
    except OSError as exc:
        raise BundleError(f"{path}: {exc.strerror}") from exc
    manifest = _manifest(path, raw)
    try:
        keys.verify(manifest.public_key, signature, raw)
    except (InvalidSignature, ValueError) as exc:
        raise BundleError(f"{path}: the manifest was changed after it was signed: do not use this file") from exc
    needed = first + sum(_BLOCK + _padded(member.size) for member in manifest.members)
    if length < needed:
        have = 100 * length // needed
        raise BundleError(f"{path}: has {length:,} of {needed:,} bytes ({have} %): {COPY_AGAIN}")
    return Bundle(path, manifest, first, hashlib.sha256(raw).hexdigest())


def write(path: Path, manifest: Manifest, sources: dict[str, Path], sign: Callable[[bytes], bytes]) -> None:
    """Make the file: beside its place, then moved there, so that no half of it is ever found under its name."""
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in ((MANIFEST, raw), (SIGNATURE, sign(raw))):
                tar.addfile(_info(name, len(content)), io.BytesIO(content))
            for member in manifest.members:
                with sources[member.name].open("rb") as source:
                    tar.addfile(_info(member.name, member.size), source)
        part.rename(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _info(name: str, size: int) -> tarfile.TarInfo:
    """The same bytes from the same content: no owner, no time."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def _take(path: Path, file: IO[bytes], name: str) -> bytes:
    header = file.read(_BLOCK)
    if _name(header) != name:
        raise BundleError(f"{path}: is no labkit bundle: expected {name} in it (`labkit bundle create` makes one)")
    size = tarfile.TarInfo.frombuf(header, "utf-8", "strict").size
    if size > _MOST_MANIFEST:
        raise BundleError(f"{path}: {name} has {size:,} bytes, expected at most {_MOST_MANIFEST:,}")
    content = file.read(_padded(size))[:size]
    if len(content) < size:
        raise BundleError(f"{path}: ends in the middle of {name}: {COPY_AGAIN}")
    return content


def _name(header: bytes) -> str:
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "strict").name
    except (tarfile.HeaderError, UnicodeDecodeError):
        return ""


def _manifest(path: Path, raw: bytes) -> Manifest:
    try:
        version = msgspec.json.decode(raw, type=_Version).format
        if version != FORMAT:
            raise BundleError(f"{path}: is of format {version}, this labkit reads format {FORMAT}")
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as exc:
        raise BundleError(f"{path}: {MANIFEST}: {exc}") from exc
    for member in manifest.members:
        if member.size < 0 or member.name.startswith("/") or ".." in Path(member.name).parts:
            raise BundleError(f"{path}: {MANIFEST}: {member.name!r} is no name of a member")
    return manifest


class _Version(msgspec.Struct):
    format: int


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
