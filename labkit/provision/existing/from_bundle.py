"""Debian packages that a host lacks, out of a bundle that was made with `--packages`: no host fetches anything.

The bundle's small Debian archive (bundle/packages.py) stays in the cluster's state directory, for agents to come. A
host is sent its index, says which files it would fetch, is sent these, and installs them; Debian's signature is proven
there, by the host's own keys. Its own sources and lists of packages are neither asked nor changed.

    STATE/debian/dists/bookworm/InRelease, .../Packages     to /var/lib/labkit/debian; gone when it is done
    STATE/debian/pool/main/...                              of that only what apt asks for
"""

import io
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from labkit.cluster import Cluster
from labkit.provision.errors import CommandFailed
from labkit.provision.existing import packages
from labkit.provision.lock import ON_MACHINE
from labkit.provision.ssh import Ssh
from labkit.provision.tree import OF_A_BUNDLE, SUITE

PLACE = "/var/lib/labkit/debian"
APT = (
    f"-o Dir::Etc::SourceList={PLACE}/sources.list -o Dir::Etc::SourceParts=/dev/null"
    f" -o Dir::State::Lists={PLACE}/lists -o Dir::Cache={PLACE}/cache -o APT::Sandbox::User=root "
) + " ".join(f"-o {option}" for option in OF_A_BUNDLE)
FITS = f'. /etc/os-release; [ "$VERSION_CODENAME" = {SUITE} ]'


def archive(cluster: Cluster) -> Path:
    """Where it stays; there is none where no bundle has brought it."""
    return cluster.state / "debian"


def install(ssh: Ssh) -> bool:
    """Whether the host has all that it needs now. False: there is no archive, or it is another Debian's.

    Raises CommandFailed: the archive lacks something, or apt's own words.
    """
    source = archive(ssh.cluster)
    if not source.is_dir() or ssh.run(FITS, timeout=15, check=False).rc:
        return False
    missing = ssh.run(packages.missing(ssh.machine), timeout=15, what="look for packages").out.split()
    if not missing:
        return True
    try:
        _send(ssh, source, sorted(path for path in (source / "dists").rglob("*") if path.is_file()))
        _send(ssh, source, wanted(ssh.machine.name, _asked_for(ssh, missing), source))
        ssh.run(ON_MACHINE + packages.install(ssh.machine, APT), timeout=packages.SECONDS, what="install packages")
    finally:
        ssh.run(f"rm -rf {PLACE}", timeout=60, check=False)
    return True


def wanted(machine: str, printed: str, source: Path) -> list[Path]:
    """The files that `apt-get --print-uris` asks for: 'file:/var/lib/.../git_2.39.5_amd64.deb' git_... 7256884 ..."""
    found = [source / unquote(path) for path in re.findall(rf"^'file:(?://)?{PLACE}/([^']+)'", printed, re.MULTILINE)]
    if lacking := [path.name for path in found if not path.is_file()]:
        why = f"the bundle has no {', '.join(lacking)}: make it again, with --packages, by this version of labkit"
        raise CommandFailed(machine, "install packages", tail=why)
    return found


def _asked_for(ssh: Ssh, missing: Iterable[str]) -> str:
    command = f"""set -e
mkdir -p {PLACE}/lists/partial {PLACE}/cache/archives/partial
echo 'deb file:{PLACE} {SUITE} main' >{PLACE}/sources.list
apt-get -q {APT} update >{PLACE}/log 2>&1 || {{ tail -n 8 {PLACE}/log; exit 1; }}
apt-get -qq {APT} --print-uris --no-install-recommends install {" ".join(missing)}
"""
    return ssh.run(ON_MACHINE + command, timeout=300, what="ask apt what it needs").out


def _send(ssh: Ssh, source: Path, files: Iterable[Path]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as packed:
        for path in files:
            packed.add(path, str(path.relative_to(source)), filter=_anonymous)
    unpack = f"mkdir -p {PLACE} && tar --extract --gzip --no-same-owner --directory={PLACE}"
    ssh.run(ON_MACHINE + unpack, timeout=packages.SECONDS, input=out.getvalue(), what="send Debian's packages")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mode = 0o644
    return entry
