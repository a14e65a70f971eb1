"""Whose sockets: what `ss` says, and which process is kube-proxy.

A connection through the userspace proxy is two sockets of its process: the one that it accepted from the client, and
the one that it opened to an endpoint right after.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from labkit.probe.netns import OWN, same
from labkit.probe.report import Proxy, Socket

MODULE = "labkit.components.kube_proxy"
_HOLDER = re.compile(r"pid=(\d+),fd=(\d+)")


def sockets(protocol: str) -> list[Socket]:
    """Every socket of this network namespace, listening ones included; one row for each process that holds it."""
    flags = "-Htanp" if protocol == "tcp" else "-Huanp"
    done = subprocess.run(["ss", flags], capture_output=True, text=True, timeout=20, check=False)
    return [each for line in done.stdout.splitlines() for each in parse(line)]


def parse(line: str) -> list[Socket]:
    """`ESTAB 0 0 10.244.2.1:34273 10.244.2.2:40001 users:(("python",pid=812,fd=14))`"""
    fields = line.split(maxsplit=5)
    if len(fields) < 5:
        return []
    state, local, peer = fields[0], _plain(fields[3]), _plain(fields[4])
    holders = _HOLDER.findall(fields[5]) if len(fields) > 5 else []
    return [
        Socket(state=state, local=local, peer=peer, pid=int(pid), fd=int(fd)) for pid, fd in holders or [("0", "0")]
    ]


def _plain(address: str) -> str:
    """Without a `%interface`, and without brackets: `[::ffff:10.1.2.3]:80` is 10.1.2.3:80."""
    ip, _, port = address.rpartition(":")
    return f"{ip.split('%')[0].strip('[]').removeprefix('::ffff:')}:{port}"


def listening(every: Iterable[Socket], port: int) -> list[Socket]:
    """Who listens on a local port, on whatever address."""
    return [each for each in every if each.state in ("LISTEN", "UNCONN") and each.local.endswith(f":{port}")]


def accepted(every: Iterable[Socket], pid: int, client: str) -> Socket | None:
    """The proxy's side of the client's connection."""
    return next((each for each in every if each.pid == pid and each.peer == client and each.state != "LISTEN"), None)


def outgoing(
    every: Iterable[Socket], before: Iterable[Socket], pid: int, backends: Iterable[str], beside: Socket | None
) -> Socket | None:
    """The proxy's new socket to an endpoint; of several the one whose descriptor is nearest to the accepted one's."""
    wanted, known = set(backends), {(each.local, each.peer) for each in before}
    found = [each for each in every if each.pid == pid and each.peer in wanted and (each.local, each.peer) not in known]
    return min(found, key=lambda each: abs(each.fd - (beside.fd if beside else 0)), default=None)


def kube_proxy() -> Proxy | None:
    """The kube-proxy of this machine: the process of that module in this network namespace."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if MODULE in words and "--cleanup" not in words and same(str(path.parent / "ns/net"), OWN):
            return Proxy(pid=int(path.parent.name), mode=mode_of(words), command=" ".join(words).strip())
    return None


def mode_of(words: list[str]) -> str:
    """The --proxy-mode of a command line, the last one counts."""
    mode = "userspace"
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--proxy-mode="):
            mode = word.partition("=")[2]
        elif word == "--proxy-mode":
            mode = following
    return mode
