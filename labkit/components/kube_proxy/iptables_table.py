"""The nat and filter tables in iptables mode: what stands there of ours, and what iptables-restore must be told.

    iptables-save --> parse --> what is there --+
                                                +--> difference --> iptables-restore --noflush, one process
    iptables_rules ---------> what is wanted ---+

Chains of single services are written in transactions of some BATCH chains: for each line, iptables-restore 1.8 looks
through all chains that the transaction has named before, so a single one with 60,000 chains would take many minutes;
but with each transaction the kernel looks through the whole table, so there are MOST_BATCHES at the most. What leads to
the chains comes last, in one transaction: until then packets go the old way.
Source: iptables-restore(8); with --noflush, a line `:CHAIN` makes a chain or empties it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from labkit.components.kube_proxy.command import run
from labkit.components.kube_proxy.iptables_rules import BUILTINS, FRAME, MARK_MASQ, SERVICES, SHARED, frame, rules
from labkit.components.kube_proxy.kernel import ModeUnsupported
from labkit.components.kube_proxy.nat import WAIT_SECONDS, IptablesFailed
from labkit.components.kube_proxy.rules import Contents, compare

BATCH, MOST_BATCHES = 500, 120  # chains; transactions

_OWN = ("KUBE-SVC-", "KUBE-SEP-")
_JUMPS = {(rule.container, rule.text) for rule in frame() if rule.container in BUILTINS}
_LAST = next(rule.text for rule in frame() if rule.container == SERVICES)


class Found(NamedTuple):
    """What stands in the tables. misplaced: rules of ours that are not where they must be, or are there twice."""

    contents: Contents
    misplaced: list[tuple[str, str]]


def parse(saved: str) -> Found:
    """What iptables-save says about our chains and our jumps, whichever tables it shows."""
    found, table = Found({}, []), ""
    jumps: dict[str, list[str]] = defaultdict(list)
    own: set[str] = set()
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
            own.clear()
        elif line.startswith(":"):
            chain = line[1 : line.index(" ")]
            name = f"{table} {chain}"
            if name in FRAME or (table == "nat" and chain.startswith(_OWN)):
                own.add(chain)
                found.contents[name] = []
        elif line.startswith("-A "):
            _, chain, spec = line.split(" ", 2)
            if chain in own:
                (jumps if f"{table} {chain}" in BUILTINS else found.contents)[f"{table} {chain}"].append(spec)
    for name, specs in jumps.items():
        _look_at_jumps(found, name, specs)
    _look_at_last(found)
    return found


def _look_at_jumps(found: Found, name: str, specs: list[str]) -> None:
    """Of a built-in chain only our jumps matter; those of nat must be at its top."""
    for container, text in _JUMPS:
        if container == name and (count := specs.count(text)):
            if count == 1 and (specs[0] == text or not name.startswith("nat")):
                found.contents[name].append(text)
            else:
                found.misplaced.extend([(name, text)] * count)


def _look_at_last(found: Found) -> None:
    specs = found.contents.get(SERVICES, [])
    if specs.count(_LAST) and (specs.count(_LAST) > 1 or specs[-1] != _LAST):
        found.misplaced.extend([(SERVICES, _LAST)] * specs.count(_LAST))
        found.contents[SERVICES] = [spec for spec in specs if spec != _LAST]


def difference(found: Found, want: Contents) -> str:
    """What iptables-restore must be told to get the whole of both tables right, "" when there is nothing to do."""
    change = compare(found.contents, want, SHARED)
    blocks = _Blocks()
    for name in dict.fromkeys((*change.made, *change.written)):
        if name in FRAME and name not in BUILTINS:
            blocks.write(name, [] if name in SHARED else want[name])
    blocks.close()
    _write_services(blocks, {name: lines for name, lines in change.written.items() if name not in FRAME})
    differing = {name for name, _ in (*change.added, *change.removed, *found.misplaced)}
    for name in sorted(differing & {*BUILTINS}):
        for text in [text for where, text in found.misplaced if where == name]:
            blocks.add(name, "-D", text)
        for text in [text for where, text in change.added if where == name]:
            blocks.add(name, "-I", text)
    for name in sorted(differing - {*BUILTINS}):
        blocks.write(name, _in_order(want[name]))
    blocks.close()
    _remove_services(blocks, change.vanished)
    return blocks.text


def patch(old: Contents, new: Contents) -> str:
    """What iptables-restore must be told when some service ports change from `old` to `new` and all else stands."""
    change = compare(old, new, SHARED)
    blocks = _Blocks()
    _write_services(blocks, {name: lines for name, lines in change.written.items() if name not in FRAME})
    for name, text in change.removed:
        blocks.add(name, "-D", text)
    for name, text in reversed(_marks_first(change.added)):  # each goes to the top: the marks come to stand above
        blocks.add(name, "-I", text)
    blocks.close()
    _remove_services(blocks, change.vanished)
    return blocks.text


def removal(found: Found) -> str:
    """What takes everything of this mode away, "" when nothing is there."""
    blocks = _Blocks()
    jumps = [(name, text) for name in BUILTINS for text in found.contents.get(name, [])]
    for name, text in (*jumps, *found.misplaced):
        if name in BUILTINS:
            blocks.add(name, "-D", text)
    ours = [name for name in FRAME if name in found.contents and name not in BUILTINS]
    for name in ours:
        blocks.write(name, [])
    blocks.close()
    _remove_services(blocks, [name for name in found.contents if name not in FRAME])
    for name in ours:
        blocks.add(name, "-X")
    blocks.close()
    return blocks.text


class _Blocks:
    """Lines for iptables-restore, by table, until `close` makes a transaction of each table."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._chains: dict[str, list[str]] = defaultdict(list)
        self._lines: dict[str, list[str]] = defaultdict(list)

    def write(self, container: str, lines: Iterable[str]) -> None:
        """Make a chain, or empty it, and put these rules into it."""
        table, chain = container.split(" ")
        self._chains[table].append(f":{chain} - [0:0]")
        self._lines[table] += [f"-A {chain} {text}" for text in lines]

    def add(self, container: str, verb: str, text: str = "") -> None:
        table, chain = container.split(" ")
        self._lines[table].append(f"{verb} {chain} {text}".rstrip())

    def close(self) -> None:
        for table in ("filter", "nat"):
            if lines := self._chains.pop(table, []) + self._lines.pop(table, []):
                self._parts += [f"*{table}", *lines, "COMMIT"]

    @property
    def text(self) -> str:
        return "\n".join([*self._parts, ""]) if self._parts else ""


def _write_services(blocks: _Blocks, chains: Contents) -> None:
    names = list(chains)
    for batch in _batches(names):
        for name in batch:
            blocks.write(name, chains[name])
        blocks.close()


def _remove_services(blocks: _Blocks, names: Iterable[str]) -> None:
    """KUBE-SVC-... before KUBE-SEP-..., to which it jumps."""
    for batch in _batches(sorted((name for name in names if name not in FRAME), reverse=True)):
        for name in batch:
            blocks.write(name, [])
        for name in batch:
            blocks.add(name, "-X")
        blocks.close()


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    size = max(BATCH, len(names) // MOST_BATCHES)
    return (names[start : start + size] for start in range(0, len(names), size))


def _in_order(lines: Iterable[str]) -> list[str]:
    """A shared chain: marks, then what they are for, and the way to the node ports last."""
    ordered = [text for _, text in _marks_first([("", line) for line in lines if line != _LAST])]
    return [*ordered, _LAST] if _LAST in lines else ordered


def _marks_first(lines: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The others by falling name of what they jump to, the order in which iptables-restore finds names at once."""
    by_target = sorted(lines, key=lambda line: line[1].rpartition(" -j ")[2], reverse=True)
    return sorted(by_target, key=lambda line: not line[1].endswith(_MARK))


_MARK = f"-j {MARK_MASQ.split()[1]}"


class IptablesTable:
    """The iptables mode's rules on this machine."""

    name = "iptables"
    containers: Sequence[str] = FRAME
    frame = staticmethod(frame)
    rules = staticmethod(rules)

    async def check(self) -> None:
        """ModeUnsupported when the kernel lacks a match that the rules need: a chain is made, tried and undone."""
        try:
            await self._restore(_PROBE)
        except IptablesFailed as exc:
            raise ModeUnsupported(_MEND.format(trouble=exc)) from exc
        allow_loopback(True)

    async def repair(self, want: Contents) -> int:
        """Read both tables and put right what differs: so many transactions."""
        return await self._apply(difference(parse(await self._save()), want))

    async def patch(self, old: Contents, new: Contents) -> int:
        """Write what changes from `old` to `new`: so many transactions."""
        return await self._apply(patch(old, new))

    async def remove(self) -> bool:
        """Take everything of this mode away; False when nothing was there."""
        found = parse(await self._save())
        text = removal(found)
        if text:
            await self._restore(text)
            allow_loopback(False)
        return bool(text)

    async def _apply(self, text: str) -> int:
        if text:
            await self._restore(text)
        return text.count("\nCOMMIT\n")

    async def _save(self) -> str:
        return await run(IptablesFailed, "iptables-save", package="iptables")

    async def _restore(self, text: str) -> None:
        command = ("iptables-restore", "--noflush", f"--wait={WAIT_SECONDS}")
        await run(IptablesFailed, *command, text=text, package="iptables")


def allow_loopback(on: bool) -> None:
    """Whether packets from 127.0.0.1 may be led to pods, as node ports there need; KUBE-FIREWALL guards it."""
    with suppress(OSError):  # a machine that may not: then only 127.0.0.1:NODEPORT is not reached
        _ROUTE_LOCALNET.write_text(str(int(on)))


_ROUTE_LOCALNET = Path("/proc/sys/net/ipv4/conf/all/route_localnet")
_PROBE = """*nat
:KUBE-PROBE - [0:0]
-A KUBE-PROBE -m statistic --mode random --probability 0.5 -j RETURN
-A KUBE-PROBE -m recent --rcheck --seconds 1 --reap --name KUBE-PROBE -m comment --comment x -j RETURN
-A KUBE-PROBE -m addrtype --dst-type LOCAL -m mark --mark 1/1 -j MARK --set-xmark 0x4000/0x4000
-F KUBE-PROBE
-X KUBE-PROBE
COMMIT
"""
_MEND = """the kernel cannot do --proxy-mode=iptables: {trouble}
It needs the modules xt_statistic, xt_recent, xt_comment, xt_addrtype, xt_mark and nf_nat: load them on the host with \
modprobe (a machine that is a container shares the host's kernel), or choose --proxy-mode=userspace."""
