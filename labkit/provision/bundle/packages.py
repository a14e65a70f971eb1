"""Debian's packages in place of the machines' image: what the room trusts is Debian's signature (it builds as root).

What is carried is a small Debian archive, for debootstrap a mirror like any other:

    dists/bookworm/InRelease                        signed by Debian: the room proves it as a download is proven
    dists/bookworm/main/binary-ARCH/Packages        all that Debian has; InRelease has its hash
    pool/main/...                                   only what the image is made from
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.provision import image, tree
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run

WHAT = "fetch the machines' Debian packages"

Say = Callable[[str], None]


def fetch(into: Path, say: Say) -> Path:
    """The archive, in that folder; what the cache has is not fetched again. Raises CommandFailed."""
    image.check_before_build()
    cache, scratch = image.cache_dir() / "debs", into.with_name("debootstrap")
    cache.mkdir(parents=True, exist_ok=True)
    source = image.debian_mirror()
    say("fetching the machines' Debian packages")
    own = f"chown -R {os.getuid()}:{os.getgid()}"
    program = [sys.executable, "-m", "labkit.provision.bundle.packages", source, str(cache), str(scratch)]
    command = [*image.as_root(say), "env", *image.proxy(), *program]
    run(WHAT, command, timeout=1500, on_line=say, leash=True, cwd=image.ROOT)
    if os.getuid():
        run(WHAT, ["sudo", "-n", *own.split(), str(scratch)], timeout=60)
    _arrange(scratch, into)
    shutil.rmtree(scratch)
    return into


def _arrange(fetched: Path, into: Path) -> None:
    """What debootstrap has fetched, where a mirror has it."""
    lists = fetched / "var/lib/apt/lists"
    (release,) = lists.glob("*_InRelease")
    (index,) = lists.glob("*_main_binary-*_Packages")
    architecture = index.name.split("binary-")[1].removesuffix("_Packages")
    dists = into / "dists" / tree.SUITE
    (dists / f"main/binary-{architecture}").mkdir(parents=True)
    release.replace(dists / "InRelease")
    places = dict(_places(index.read_text()))
    index.replace(dists / f"main/binary-{architecture}/Packages")
    for deb in (fetched / "var/cache/apt/archives").glob("*.deb"):
        place = into / places[deb.name]
        place.parent.mkdir(parents=True, exist_ok=True)
        deb.replace(place)


def _places(index: str) -> Iterator[tuple[str, str]]:
    """(the name under which debootstrap keeps it, its path in the archive) of every package.

    The name is PACKAGE_VERSION_ARCH.deb with the version's colon written %3a; the path has no epoch in it.
    """
    for stanza in index.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if "Filename" in fields:
            version = fields["Version"].replace(":", "%3a")
            yield f"{fields['Package']}_{version}_{fields['Architecture']}.deb", fields["Filename"]


def main() -> None:
    mirror, cache, folder = sys.argv[1:]
    tree.end_with_parent()
    try:
        wanted = [*tree.listed("packages.txt"), *tree.listed("packages-for-pods.txt")]
        tree.debootstrap(mirror, Path(cache), Path(folder), wanted, "--download-only")
    except (CommandFailed, OSError) as exc:
        sys.exit(exc.tail if isinstance(exc, CommandFailed) else str(exc))


if __name__ == "__main__":
    main()
