"""The lab's network has no way out, by a rule of the host as well.

Machines have a default route to an address that nobody has, so nothing of theirs finds a way out by itself. Root on a
machine could still name the host as its gateway, and the host forwards. This rule, in the first chain that docker has
asked about forwarded packets, ends that:

    -A DOCKER-USER -i br-lab ! -o br-lab -m comment --comment "labkit: lab has no way out" -j DROP

It needs root on the host, and a docker that makes firewall rules; without them the first fence stands alone. docker
keeps the chain's content over restarts.
"""

import os
import shutil

from labkit.cluster import Cluster
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run

CHAIN = "DOCKER-USER"


def rule(cluster: Cluster) -> list[str]:
    """The rule's words, as iptables takes them after the chain's name."""
    bridge, comment = f"br-{cluster.name}", f"labkit: {cluster.name} has no way out"
    return ["-i", bridge, "!", "-o", bridge, "-m", "comment", "--comment", comment, "-j", "DROP"]


def put_up(cluster: Cluster) -> bool:
    """Add the rule where it is missing; returns whether it was added."""
    if not _may() or _stands(cluster):
        return False
    _iptables("-I", *rule(cluster))
    return True


def take_down(cluster: Cluster) -> None:
    """Remove the rule, however often it stands there."""
    while _may() and _stands(cluster):
        _iptables("-D", *rule(cluster))


def _may() -> bool:
    return os.geteuid() == 0 and shutil.which("iptables") is not None and _succeeds("-S")


def _stands(cluster: Cluster) -> bool:
    return _succeeds("-C", *rule(cluster))


def _succeeds(verb: str, *words: str) -> bool:
    try:
        _iptables(verb, *words)
    except CommandFailed:
        return False
    return True


def _iptables(verb: str, *words: str) -> None:
    run("fence the lab's network", ["iptables", "-w", verb, CHAIN, *words], timeout=20)
