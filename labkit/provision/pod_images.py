"""The pods' images as files on this computer: what the master's registry is filled with where the machine has none.

A machine that is a container carries them; a host that was there already is sent them. They come out of the node image,
which is built, or loaded from a bundle, when it is not here: for that this computer needs docker, once.

    ~/.cache/labkit/pod-images/4b3883c554f6/redis.tar ...
"""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from labkit.provision import image
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run

FOLDER = "/usr/share/labkit/images"


def folder(progress: Callable[[str], None]) -> Path:
    """With a NAME.tar each. Raises CommandFailed where there is no docker and nothing kept."""
    base = image.tags().base
    kept = image.cache_dir() / "pod-images" / base.rpartition(":")[2]
    if kept.is_dir():
        return kept
    if not shutil.which("docker"):
        what = (
            "they are cut out of the machines' image, for which this computer needs docker: `apt-get install docker.io`"
        )
        raise CommandFailed("host", "get the pods' images", tail=what)
    tag = image.ensure_image(progress)
    scratch = kept.with_name(f"{kept.name}.{os.getpid()}")
    scratch.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)
    container = run("docker create", ["docker", "create", tag], timeout=60).strip()
    try:
        run("docker cp", ["docker", "cp", f"{container}:{FOLDER}", str(scratch)], timeout=120)
        scratch.rename(kept)
    finally:
        run("docker rm", ["docker", "rm", "--volumes", container], timeout=60)
        shutil.rmtree(scratch, ignore_errors=True)
    return kept


def tar(folder: Path) -> bytes:
    """All of them in one, for a machine's /usr/share/labkit/images."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(folder.glob("*.tar")):
            archive.add(path, path.name)
    return out.getvalue()
