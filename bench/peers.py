"""What stands beside labkit in a benchmark: other programs that do the same, Debian's own.

One that is not installed is unpacked, with the libraries that it needs, into a cache; this machine's set-up stays as it
is. `Missing` says what to type where that does not work either.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.node.netns import Netns

CACHE = Path.home() / ".cache" / "labkit" / "tools" / "peers"
LIBRARIES = {
    "haproxy": ("liblua5.3-0", "libopentracing1", "libopentracing-c-wrapper0", "libpcre2-8-0"),
    "socat": ("libwrap0",),
    "iperf3": ("libiperf0", "libsctp1"),
    "dnsmasq": (),
    "dnsperf": ("libldns3", "libnghttp2-14"),
}
_PACKAGES = {"dnsmasq": "dnsmasq-base"}
HAPROXY, SOCAT = "haproxy", "socat"


class Missing(Exception):
    """A peer is not on this machine, and cannot be had; the message names the mend."""


@dataclass(frozen=True)
class Peer:
    """A program that can be started: its path, and where its libraries are."""

    path: str
    libraries: str = ""

    def command(self, *arguments: str) -> list[str]:
        prefix = ["env", f"LD_LIBRARY_PATH={self.libraries}"] if self.libraries else []
        return [*prefix, self.path, *arguments]


def find(name: str) -> Peer:
    """The program of this name; Missing when it is neither installed nor to be had from Debian's archive."""
    if installed := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        return Peer(installed)
    folder = CACHE / name
    if not _program(folder, name):
        _unpack(folder, _PACKAGES.get(name, name), *LIBRARIES[name])
    if not (program := _program(folder, name)):
        raise Missing(f"no {name} on this machine: apt-get install {_PACKAGES.get(name, name)}")
    return Peer(str(program), ":".join(str(path) for path in (folder / "usr/lib").glob("*-linux-gnu")))


def _program(folder: Path, name: str) -> Path | None:
    found = (folder / place / name for place in ("usr/sbin", "usr/bin"))
    return next((path for path in found if path.is_file()), None)


def _unpack(folder: Path, *packages: str) -> None:
    """Download the packages and lay out what is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if shutil.which("apt-get") is None:
        return
    for package in packages:
        subprocess.run(["apt-get", "download", "-q", package], cwd=folder, timeout=60, check=False, **quiet)  # type: ignore[call-overload]
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], timeout=60, check=False, **quiet)  # type: ignore[call-overload]
        archive.unlink()


@contextmanager
def carrying(node: Netns, folder: Path, ways: dict[int, tuple[str, int]], first_port: int) -> Iterator[dict[str, int]]:
    """haproxy (TCP mode, one thread, splicing) and socat on `node`, those that can be had.

    ways: port asked for -> where it leads. Answers by program what is added to each of these ports to reach it there.
    """
    with ExitStack() as stack:
        shifts = {}
        for number, (name, start) in enumerate({HAPROXY: _haproxy, SOCAT: _socat}.items()):
            shift = first_port + number * 1000
            try:
                peer = find(name)
            except Missing:
                continue
            for command in start(peer, folder, {port + shift: target for port, target in ways.items()}):
                stack.enter_context(_running(node.command(*command)))
            shifts[name] = shift
        yield shifts


def _haproxy(peer: Peer, folder: Path, ways: dict[int, tuple[str, int]]) -> list[list[str]]:
    settings = ["global", " nbthread 1", " maxconn 4000", "defaults", " mode tcp", " option splice-auto"]
    settings += [" timeout connect 5s", " timeout client 1m", " timeout server 1m"]
    for port, (ip, target) in ways.items():
        settings += [f"listen way{port}", f" bind 0.0.0.0:{port}", f" server one {ip}:{target}"]
    (folder / "haproxy.cfg").write_text("\n".join([*settings, ""]))
    return [peer.command("-db", "-f", str(folder / "haproxy.cfg"))]


def _socat(peer: Peer, folder: Path, ways: dict[int, tuple[str, int]]) -> list[list[str]]:
    """A process for each connection."""
    listen = "TCP-LISTEN:{},fork,reuseaddr,nodelay,backlog=1024"
    return [peer.command(listen.format(port), f"TCP:{ip}:{target},nodelay") for port, (ip, target) in ways.items()]


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(10)
