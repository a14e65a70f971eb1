"""Rules, chains, interfaces, kernel settings: what the network is made of, back to how it was found.

Rules go one by one, so that those that somebody else has added meanwhile stay, at their place.
"""

import shlex
from collections.abc import Iterator

from labkit.provision.existing.on_host.ledger import Ledger, Things, to_undo
from labkit.provision.existing.on_host.things import run

PREFIXES = ("KUBE-", "LAB-")
"""Chains that are labkit's whatever the ledger says: kube-proxy makes some for every new service."""
LINKS = ("labkit0", "docker0")


def restore(ledger: Ledger, now: Things) -> None:
    left = to_undo(ledger, now)
    for command in [*rules(left, ledger.before, now), *policies(left, ledger.before), *kernel(left, ledger.before)]:
        run(*command)
    for key in now:
        if key.startswith("link ") and key not in ledger.before and key.partition(" ")[2] in LINKS:
            run("ip", "link", "delete", key.partition(" ")[2])


def rules(left: list[str], before: Things, now: Things) -> Iterator[list[str]]:
    """Delete our rules, then our chains, emptied first since they jump into each other."""
    own_chains = [key for key in now if key.startswith("chain ") and key not in before
                  and (key in left or key.split()[3].startswith(PREFIXES))]  # fmt: skip
    names = {key.split()[3] for key in own_chains}
    for key in now:
        if key.startswith("rule ") and key not in before:
            _, program, table, rule = key.split(" ", 3)
            words = shlex.split(rule)
            if words[0] not in names and (key in left or names & set(words)):
                yield [program, "-w", "-t", table, "-D", *words]
    for verb in ("-F", "-X"):
        for key in own_chains:
            _, program, table, chain = key.split(" ")
            yield [program, "-w", "-t", table, verb, chain]


def policies(left: list[str], before: Things) -> Iterator[list[str]]:
    for key in left:
        if key.startswith("policy "):
            _, program, table, chain = key.split(" ")
            yield [program, "-w", "-t", table, "-P", chain, before.get(key, "ACCEPT")]


def kernel(left: list[str], before: Things) -> Iterator[list[str]]:
    for key in left:
        kind, _, name = key.partition(" ")
        if kind == "sysctl" and key in before:
            yield ["sysctl", "-qw", f"{name}={before[key]}"]
        if kind == "module" and name == "br_netfilter" and key not in before:
            yield ["modprobe", "-r", name]
