"""Put what a bundle carries where `labkit up` looks for it, so that it fetches nothing: docker's images, Vagrant's box,
the cache of wheels.

What is there already is left alone; what broke off is done again.
"""

import contextlib
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.provision import box, image, wheels
from labkit.provision.bundle.archive import Bundle, Member
from labkit.provision.bundle.create import BOX, IMAGE, PACKAGES, wheels_of
from labkit.provision.errors import BundleError, CommandFailed
from labkit.provision.process import run

Say = Callable[[str], None]


def misfits(bundle: Bundle, arch: str, provider: str = "docker") -> list[str]:
    """Why this labkit on a computer of this architecture cannot make such machines of it; empty when it can."""
    manifest, found = bundle.manifest, []
    if manifest.arch != arch:
        found.append(f"it was made on {manifest.arch} for {manifest.arch}, this computer is {arch}")
    if provider == "libvirt":
        found += _no_box(bundle)
    elif provider not in ("docker", "ssh"):
        found.append(f"bundles are for machines of docker and libvirt and for hosts reached by ssh, not for {provider}")
    elif _digest(manifest.image) != _digest(image.tags().node):
        wanted = _digest(image.tags().node)
        found.append(f"its machines' image is {_digest(manifest.image)}, this labkit wants {wanted}")
    if _member(bundle, wheels_of(image.target(arch))) is None:
        found.append("it has no wheels for this labkit's machines")
    return found


def _no_box(bundle: Bundle) -> list[str]:
    if not bundle.manifest.box:
        return ["it has no box for virtual machines: `labkit bundle create --with-box` puts one in"]
    if bundle.manifest.box != box.name():
        return [f"its box is {bundle.manifest.box}, this labkit wants {box.name()}"]
    return []


def unpack(bundle: Bundle, arch: str, provider: str, say: Say, keep: Path | None = None) -> None:
    """keep: a folder to be, where Debian's packages stay for hosts that are there already.

    Raises BundleError (not what was signed, not for this labkit) or CommandFailed (docker, Vagrant, no space).
    """
    if trouble := misfits(bundle, arch, provider):
        raise BundleError(
            f"{bundle.path}: {'; '.join(trouble)}. The labkit that made it is inside: `tar xf FILE host.zip README.txt`"
        )
    _unpack_wheels(bundle, arch, say)
    packages = _member(bundle, PACKAGES)
    if packages and keep:
        _keep(bundle, packages, keep, say)
    if provider == "libvirt":
        _add_box(bundle, say)
    elif not image.exists(image.tags().node):  # of hosts that are there already only the pods' images
        if packages:
            _build_image(bundle, packages, say)
        else:
            _load_image(bundle, say)


def _unpack_wheels(bundle: Bundle, arch: str, say: Say) -> None:
    final = wheels.cache_dir() / wheels.key(image.target(arch))
    member = _member(bundle, wheels_of(image.target(arch)))
    if final.exists() or member is None:
        return
    say("unpacking the machines' wheels")
    with _unzipped(bundle, member, final.parent) as folder:
        folder.rename(final)


def _build_image(bundle: Bundle, member: Member, say: Say) -> None:
    say("unpacking Debian's packages")
    with _unzipped(bundle, member, image.cache_dir()) as archive:
        archive.parent.chmod(0o755)
        image.ensure_image(say, f"file://{archive}")


def _keep(bundle: Bundle, member: Member, folder: Path, say: Say) -> None:
    """The archive is there whole, or not at all; of another bundle's nothing is left."""
    stamp = Path("made-from")
    if (folder / stamp).exists() and (folder / stamp).read_text() == member.sha256:
        return
    say("unpacking Debian's packages for the hosts")
    with _unzipped(bundle, member, folder.parent) as archive:
        (archive / stamp).write_text(member.sha256)
        shutil.rmtree(folder, ignore_errors=True)
        archive.rename(folder)


def _add_box(bundle: Bundle, say: Say) -> None:
    """Vagrant gets it only after all of it was compared."""
    name, member = bundle.manifest.box, _member(bundle, BOX)
    if box.folder(name) or member is None:
        return
    with _scratch(image.cache_dir(), "unpack the machines' box") as scratch:
        with (scratch / BOX).open("wb") as file:
            bundle.copy(member, file, _percent("comparing the machines' box", member, say))
        say("handing it to Vagrant")
        box.add(name, scratch / BOX)


@contextlib.contextmanager
def _unzipped(bundle: Bundle, member: Member, beside: Path) -> Iterator[Path]:
    """A folder with what is in the member, on the disk of `beside`; gone afterwards if nobody has moved it away."""
    with _scratch(beside, f"unpack {member.name}") as scratch:
        packed, unpacked = scratch / "zip", scratch / "unpacked"
        with packed.open("wb") as file:
            bundle.copy(member, file)
        with zipfile.ZipFile(packed) as file:
            file.extractall(unpacked)
        packed.unlink()
        yield unpacked


@contextlib.contextmanager
def _scratch(beside: Path, what: str) -> Iterator[Path]:
    try:
        beside.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=beside, prefix=".") as scratch:
            yield Path(scratch)
    except OSError as exc:
        raise CommandFailed("host", what, tail=f"{beside}: {exc.strerror}") from exc


def _load_image(bundle: Bundle, say: Say) -> None:
    """docker gets the image only after all of it was compared: it is read twice."""
    carried, wanted = bundle.manifest.image, image.tags().node
    member = _member(bundle, IMAGE)
    if member is None:
        raise BundleError(f"{bundle.path}: has no machines' image in it: make it again (`labkit bundle create`)")
    bundle.copy(member, None, _percent("comparing the machines' image", member, say))
    command = ["docker", "load", "--quiet"]
    with tempfile.TemporaryFile() as said:
        try:
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said) as process:
                assert process.stdin is not None
                try:
                    bundle.copy(member, process.stdin, _percent("handing the machines' image to docker", member, say))
                    process.stdin.close()
                    say("docker unpacks the machines' image")  # as long again
                except BrokenPipeError:
                    pass  # docker says why
                except BaseException:
                    process.kill()
                    raise
        except OSError as exc:
            raise CommandFailed("host", "load the machines' image", "docker load", tail=str(exc.strerror)) from exc
        said.seek(0)
        if process.returncode:
            tail = said.read().decode(errors="replace")
            raise CommandFailed("host", "load the machines' image", "docker load", process.returncode, tail)
    if carried != wanted:
        run("name the machines' image", ["docker", "tag", carried, wanted], timeout=60)


def _percent(what: str, member: Member, say: Say) -> Callable[[int], None]:
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        say(f"{what}: {100 * done // max(member.size, 1)} %")

    return progress


def _member(bundle: Bundle, name: str) -> Member | None:
    return next((member for member in bundle.manifest.members if member.name == name), None)


def _digest(tag: str) -> str:
    return tag.rpartition(":")[2]
