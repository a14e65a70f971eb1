"""The table `ip kube-proxy`: what stands there, and what nft must be told.

    nft -s list table --> parse --> what is there --+
                                                    +--> compare --> transactions --> nft -f -, one process for each
    nftables_rules --------------> what is wanted --+

A small change is one transaction: the kernel does all of it or nothing, and no packet sees a half of it. Thousands of
chains are written in several, because for each set of a transaction the kernel looks through all that stands before it;
the maps that lead to them come last.
Source: nft(8).
"""

import re
import shutil
from collections.abc import Iterable, Sequence, Set

from labkit.components.kube_proxy.command import run
from labkit.components.kube_proxy.iptables_table import allow_loopback
from labkit.components.kube_proxy.kernel import ModeUnsupported
from labkit.components.kube_proxy.nat import RulesFailed
from labkit.components.kube_proxy.nftables_rules import MAPS, SHARED, frame, rules
from labkit.components.kube_proxy.rules import Change, Contents, Rule, compare, contents

BATCH = 2000  # chains
_TABLE = "ip kube-proxy"
_KINDS = ("chain external-", "chain service-", "chain endpoint-", "set ")  # each refers only to later ones
_FRAME = tuple(dict.fromkeys((*MAPS, *(rule.container for rule in frame()))))


class NftFailed(RulesFailed):
    """nft did not do it; the message is what it said."""


def parse(listing: str) -> Contents:
    """The chains, maps and sets of `nft -s list table ip kube-proxy`."""
    found: Contents = {}
    for kind, name, body in _BLOCK.findall(listing):
        container = f"{kind} {name}"
        if kind == "chain":
            found[container] = [line.strip() for line in body.splitlines() if line.strip()]
        elif kind == "map":
            elements = _ELEMENTS.search(body)
            found[container] = re.split(r",\s+", elements[1].strip()) if elements else []
        else:
            properties = [line.strip() for line in _ELEMENTS.sub("", body).splitlines()]
            found[container] = ["; ".join(line for line in properties if line)]
    return found


_BLOCK = re.compile(r"^\t(chain|map|set) (\S+) \{\n(.*?)^\t\}$", re.MULTILINE | re.DOTALL)
_ELEMENTS = re.compile(r"elements = \{(.*?)\}", re.DOTALL)


def transactions(have: Contents, want: Contents) -> list[str]:
    """What nft must be told to get from `have` to `want`, whether these are the whole table or parts of it."""
    change = compare(have, want, SHARED)
    if not any(change):
        return []
    made = frozenset(change.made)
    frame_lines = [line for name in _FRAME if name in made for line in _declare(name, want[name])]
    frame_lines += [line for name in _FRAME if name in change.written for line in _write(name, change, made)]
    own = [name for name in want if name in change.written and name not in _FRAME]
    batches = [_written(own[start : start + BATCH], change, made) for start in range(0, len(own), BATCH)]
    left_over = sorted((name for name in change.vanished), key=_reference_order)
    last = [*_elements(change), *_removed(left_over)]
    if frame_lines:
        frame_lines.insert(0, f"add table {_TABLE}")
    return ["\n".join([*lines, ""]) for lines in _merged([frame_lines, *batches, last])]


def _merged(parts: Sequence[list[str]]) -> list[list[str]]:
    """One transaction of all parts when it is small."""
    filled = [part for part in parts if part]
    return filled if sum(map(len, filled)) > 2 * BATCH else [[line for part in filled for line in part]]


def _declare(name: str, lines: Sequence[str]) -> list[str]:
    kind, _, identifier = name.partition(" ")
    if kind == "map":
        options = f" {{ {MAPS[name]}; }}"
    elif lines and lines[0].startswith("type "):
        options = f" {{ {lines[0]}{'' if lines[0].endswith(';') else ';'} }}"
    else:
        options = ""
    return [f"add {kind} {_TABLE} {identifier}{options}"]


def _write(name: str, change: Change, made: Set[str]) -> list[str]:
    """Fill a chain, which is emptied first when it was there."""
    kind, _, identifier = name.partition(" ")
    if kind == "set":
        return []
    emptied = [] if name in made else [f"flush chain {_TABLE} {identifier}"]
    lines = [line for line in change.written[name] if not line.startswith("type ")]
    return [*emptied, *(f"add rule {_TABLE} {identifier} {line}" for line in lines)]


def _written(names: Sequence[str], change: Change, made: Set[str]) -> list[str]:
    declared = [line for name in names if name in made for line in _declare(name, change.written[name])]
    return [*declared, *(line for name in names for line in _write(name, change, made))]


def _elements(change: Change) -> list[str]:
    """Removed ones first: an address that has changed hands is one key."""
    removed = contents(Rule(name, _key(text), _elements) for name, text in change.removed)
    added = contents(Rule(name, text, _elements) for name, text in change.added)
    return [
        *(f"delete element {_TABLE} {name[4:]} {{ {', '.join(keys)} }}" for name, keys in removed.items()),
        *(f"add element {_TABLE} {name[4:]} {{ {', '.join(elements)} }}" for name, elements in added.items()),
    ]


def _key(element: str) -> str:
    return element.partition(" comment ")[0].partition(" : ")[0]


def _removed(names: Iterable[str]) -> list[str]:
    order = list(names)
    emptied = [f"flush {name.replace(' ', f' {_TABLE} ', 1)}" for name in order if name.startswith("chain ")]
    return [*emptied, *(f"delete {name.replace(' ', f' {_TABLE} ', 1)}" for name in order)]


def _reference_order(name: str) -> tuple[int, str]:
    return next((place for place, kind in enumerate(_KINDS) if name.startswith(kind)), 0), name


class NftablesTable:
    """The nftables mode's rules on this machine."""

    name = "nftables"
    containers: Sequence[str] = _FRAME
    frame = staticmethod(frame)
    rules = staticmethod(rules)

    async def check(self) -> None:
        """ModeUnsupported when the kernel, or nft itself, cannot do what the rules need; nothing is written."""
        try:
            await self._nft("-c", "-f", "-", text=_PROBE)
        except NftFailed as exc:
            raise ModeUnsupported(_MEND.format(trouble=exc)) from exc
        allow_loopback(True)

    async def repair(self, want: Contents) -> int:
        """Read the table and put right what differs: so many transactions."""
        return await self._apply(transactions(await self._read(), want))

    async def patch(self, old: Contents, new: Contents) -> int:
        """Write what changes from `old` to `new`: so many transactions."""
        return await self._apply(transactions(old, new))

    async def remove(self) -> bool:
        """Delete the table; False when it was not there, or there is no nft at all."""
        if shutil.which("nft") is None or f"table {_TABLE}\n" not in await self._nft("list", "tables", "ip"):
            return False
        await self._nft("-f", "-", text=f"delete table {_TABLE}\n")
        allow_loopback(False)
        return True

    async def _read(self) -> Contents:
        if f"table {_TABLE}\n" not in await self._nft("list", "tables", "ip"):
            return {}
        return parse(await self._nft("-s", "list", "table", *_TABLE.split()))

    async def _apply(self, texts: Sequence[str]) -> int:
        for text in texts:
            await self._nft("-f", "-", text=text)
        return len(texts)

    async def _nft(self, *arguments: str, text: str = "") -> str:
        return await run(NftFailed, "nft", *arguments, text=text, package="nftables")


_PROBE = """add table ip kube-proxy-probe
add chain ip kube-proxy-probe a
add set ip kube-proxy-probe s { type ipv4_addr; flags dynamic,timeout; timeout 3h; }
add map ip kube-proxy-probe m { type ipv4_addr . inet_proto . inet_service : verdict; }
add chain ip kube-proxy-probe n { type nat hook prerouting priority dstnat; }
add chain ip kube-proxy-probe p { type nat hook postrouting priority srcnat; }
add chain ip kube-proxy-probe f { type filter hook input priority -110; }
add rule ip kube-proxy-probe n ip daddr . meta l4proto . th dport vmap @m
add rule ip kube-proxy-probe n numgen random mod 2 vmap { 0 : goto a, 1 : goto a }
add rule ip kube-proxy-probe n fib daddr type local meta l4proto tcp dnat to 10.0.0.1:80
add rule ip kube-proxy-probe p update @s { ip saddr } masquerade fully-random
add rule ip kube-proxy-probe f ct state new reject
"""
_MEND = """this machine cannot do --proxy-mode=nftables: {trouble}
It needs nft 1.0 and the modules nf_tables, nft_numgen, nft_fib_ipv4, nft_masq, nft_ct and nft_reject_ipv4: load them \
on the host with modprobe (a machine that is a container shares the host's kernel), or choose --proxy-mode=iptables."""
