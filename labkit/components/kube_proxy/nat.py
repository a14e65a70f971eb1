"""The nat table of this machine: read it, find the difference to what is wanted, change nothing else.

    iptables-save -t nat --> parse --> what is there --+
                                                       +--> difference --> iptables-restore --noflush, one transaction
    iptables.render -----------------> what is wanted -+                   ("" when there is nothing to do)

Only the proxy's own four chains and its four jumps are ever named; whatever Docker or a learner put beside them stays.
Source: iptables-restore(8): with --noflush, a line `:CHAIN` makes a chain or empties it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from labkit.components.kube_proxy import command as command_line
from labkit.components.kube_proxy.iptables import CHAINS, FIRST, LAST, Rule

WAIT_SECONDS = 30  # for the xtables lock
REWRITE_SHARE = 0.25  # more changes than this share of a chain: write the chain anew instead of line by line

Chains = dict[str, list[str]]  # name -> rule specs, in order


class RulesFailed(Exception):
    """The rules of this machine could not be read or written; the message is what the tool said."""


class IptablesFailed(RulesFailed):
    """iptables-save or iptables-restore did not do it; the message is what it said."""


def parse(saved: str) -> Chains:
    """The chains of `iptables-save -t nat`."""
    chains: Chains = {}
    for line in saved.splitlines():
        if line.startswith(":"):
            chains.setdefault(line[1:].split(" ", 1)[0], [])
        elif line.startswith("-A "):
            _, chain, spec = line.split(" ", 2)
            chains.setdefault(chain, []).append(spec)
    return chains


def difference(have: Chains, want: Iterable[Rule]) -> str:
    """What iptables-restore --noflush must be told, "" when all is as wanted.

    Within one of our chains the order of rules does not matter: no two match the same packet.
    """
    wanted: dict[str, list[str]] = defaultdict(list)
    for rule in want:
        wanted[rule.chain].append(rule.spec)
    lines = [f":{chain} - [0:0]" for chain in CHAINS if chain not in have]
    for chain in CHAINS:
        lines += _chain_difference(chain, have.get(chain, []), wanted[chain])
    for jump in FIRST:
        if not _stands(have, jump, 0):
            lines += [*_deletions(have, jump), f"-I {jump.chain} 1 {jump.spec}"]
    for jump in LAST:
        if not _stands(have, jump, -1):
            lines += [*_deletions(have, jump), str(jump)]
    return _transaction(lines)


def exchange(old: Iterable[Rule], new: Iterable[Rule]) -> list[str]:
    """What puts rules in the place of others: new ones first, at once, then what takes the old ones away.

    Two transactions, because to delete a rule iptables-restore reads its whole chain first (0.25 s of 10,000 services),
    to append one it does not (0.04 s). The second is refused, as a whole, when one of the old rules is not there.
    """
    before, after = [str(rule) for rule in old], [str(rule) for rule in new]
    additions = _transaction([text for text in after if text not in before])
    deletions = _transaction([f"-D{text[2:]}" for text in before if text not in after])
    return [text for text in (additions, deletions) if text]


def removal(have: Chains) -> str:
    """What takes everything of ours away again, "" when nothing is there."""
    lines = [line for jump in (*FIRST, *LAST) for line in _deletions(have, jump)]
    lines += [f"-F {chain}" for chain in CHAINS if chain in have]
    lines += [f"-X {chain}" for chain in CHAINS if chain in have]
    return _transaction(lines)


def local_ports(have: Chains) -> dict[str, int]:
    """The local port that each service port has in the rules: a proxy that starts again takes the same ones."""
    found = {}
    for chain in CHAINS:
        for spec in have.get(chain, []):
            if match := _TARGET.search(spec):
                found[match["name"]] = int(match["port"])
    return found


_TARGET = re.compile(r'--comment "(?P<name>[^"]+)" .*(?:--to-ports |--to-destination [0-9.]+:)(?P<port>[0-9]+)$')


def _chain_difference(chain: str, have: Sequence[str], want: Sequence[str]) -> list[str]:
    there, wanted = Counter(have), Counter(want)
    added, removed = list((wanted - there).elements()), list((there - wanted).elements())
    if removed and len(added) + len(removed) > REWRITE_SHARE * len(have):
        return [f":{chain} - [0:0]", *(f"-A {chain} {spec}" for spec in want)]
    return [*(f"-D {chain} {spec}" for spec in removed), *(f"-A {chain} {spec}" for spec in added)]


def _stands(have: Chains, jump: Rule, place: int) -> bool:
    rules = have.get(jump.chain, [])
    return rules.count(jump.spec) == 1 and rules[place] == jump.spec


def _deletions(have: Chains, jump: Rule) -> list[str]:
    return [f"-D {jump.chain} {jump.spec}"] * have.get(jump.chain, []).count(jump.spec)


def _transaction(lines: list[str]) -> str:
    return "\n".join(["*nat", *lines, "COMMIT", ""]) if lines else ""


class Iptables:
    """The two commands. Each waits its turn at the xtables lock (iptables -w) and is bounded."""

    async def save(self) -> Chains:
        return parse(await self._run("iptables-save", "-t", "nat"))

    async def restore(self, text: str) -> None:
        """All of it or nothing. IptablesFailed names the line that was refused."""
        await self._run("iptables-restore", "--noflush", f"--wait={WAIT_SECONDS}", text=text)

    async def _run(self, *command: str, text: str = "") -> str:
        return await command_line.run(IptablesFailed, *command, text=text, package="iptables")
