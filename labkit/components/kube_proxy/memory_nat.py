"""A nat table in memory: the stand-in for iptables where there is no machine, and in tests.

It knows the part of iptables-restore that kube-proxy speaks, and like it does all of a text or nothing. What it must do
stands in tests/nat_contract.py, which runs on it and on the real tools.
"""

from labkit.components.kube_proxy.nat import Chains, Iptables, IptablesFailed


class MemoryNat(Iptables):
    """chains: what is there. reads: how often it was asked. written: the texts that it took."""

    def __init__(self) -> None:
        self.chains: Chains = {"PREROUTING": [], "OUTPUT": []}
        self.reads = 0
        self.written: list[str] = []

    async def save(self) -> Chains:
        self.reads += 1
        return {name: list(rules) for name, rules in self.chains.items()}

    async def restore(self, text: str) -> None:
        chains = {name: list(rules) for name, rules in self.chains.items()}
        for number, line in enumerate(text.splitlines(), 1):
            if line and not line.startswith(("*", "#", "COMMIT")) and not _do(chains, line):
                raise IptablesFailed(f"iptables-restore: line {number} failed: {line}")
        self.chains = chains
        self.written.append(text)


def _do(chains: Chains, line: str) -> bool:
    """One line; False when it cannot be done."""
    word, chain, rest = [*line.split(" ", 2), ""][:3]
    if word.startswith(":"):
        chains[word[1:]] = []
        return True
    if chain not in chains:
        return False
    rules = chains[chain]
    if word == "-A":
        rules.append(rest)
    elif word == "-I":
        place, _, spec = rest.partition(" ")
        rules.insert(int(place) - 1, spec)
    elif word == "-D" and rest in rules:
        rules.remove(rest)
    elif word == "-F":
        rules.clear()
    elif word == "-X" and not rules and not _is_used(chains, chain):
        del chains[chain]
    else:
        return False
    return True


def _is_used(chains: Chains, chain: str) -> bool:
    return any(spec.endswith(f"-j {chain}") for specs in chains.values() for spec in specs)
