"""Put what a bundle carries where `labkit up` looks for it, so that it fetches nothing: docker's images, the cache.

What is there already is left alone; what broke off is done again.
"""

import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from labkit.provision import image, wheels
from labkit.provision.bundle.archive import Bundle, Member
from labkit.provision.bundle.create import IMAGE, MACHINE_GLIBC, MACHINE_PYTHON, wheels_of
from labkit.provision.errors import BundleError, CommandFailed
from labkit.provision.process import run
from labkit.provision.wheels import Target

Say = Callable[[str], None]


def misfits(bundle: Bundle, arch: str) -> list[str]:
    """Why this labkit on a computer of this architecture cannot use it; empty when it can."""
    manifest, found = bundle.manifest, []
    if manifest.arch != arch:
        found.append(f"it was made on {manifest.arch} for {manifest.arch}, this computer is {arch}")
    if _digest(manifest.image) != _digest(image.tags().node):
        found.append(
            f"its machines' image is {_digest(manifest.image)}, this labkit wants {_digest(image.tags().node)}"
        )
    if _wheels(bundle, arch) is None:
        found.append("it has no wheels for this labkit's machines")
    return found


def unpack(bundle: Bundle, arch: str, say: Say) -> None:
    """Raises BundleError (not what was signed, not for this labkit) or CommandFailed (docker, no space)."""
    if trouble := misfits(bundle, arch):
        raise BundleError(
            f"{bundle.path}: {'; '.join(trouble)}. The labkit that made it is inside: `tar xf FILE host.zip README.txt`"
        )
    _unpack_wheels(bundle, arch, say)
    _load_image(bundle, say)


def _unpack_wheels(bundle: Bundle, arch: str, say: Say) -> None:
    final = wheels.cache_dir() / wheels.key(_target(arch))
    member = _wheels(bundle, arch)
    if final.exists() or member is None:
        return
    say("unpacking the machines' wheels")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".") as scratch:
            packed, unpacked = Path(scratch) / "zip", Path(scratch) / "wheels"
            with packed.open("wb") as file:
                bundle.copy(member, file)
            with zipfile.ZipFile(packed) as file:
                file.extractall(unpacked)
            unpacked.rename(final)
    except OSError as exc:
        raise CommandFailed("host", "unpack the machines' wheels", tail=f"{final.parent}: {exc.strerror}") from exc


def _load_image(bundle: Bundle, say: Say) -> None:
    """docker gets the image only after all of it was compared: it is read twice."""
    carried, wanted = bundle.manifest.image, image.tags().node
    if image.exists(wanted):
        return
    (member,) = [each for each in bundle.manifest.members if each.name == IMAGE]
    bundle.copy(member, None, _percent("comparing the machines' image", member, say))
    command = ["docker", "load", "--quiet"]
    with tempfile.TemporaryFile() as said:
        try:
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said) as process:
                assert process.stdin is not None
                try:
                    bundle.copy(member, process.stdin, _percent("handing the machines' image to docker", member, say))
                    process.stdin.close()
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


def _wheels(bundle: Bundle, arch: str) -> Member | None:
    name = wheels_of(_target(arch))
    return next((member for member in bundle.manifest.members if member.name == name), None)


def _target(arch: str) -> Target:
    return Target(MACHINE_PYTHON, arch, MACHINE_GLIBC)


def _digest(tag: str) -> str:
    return tag.rpartition(":")[2]
