"""Rules in the words of the tool that wrote them, with the function that made each.

The kernel's trace names a rule by its handle. The rules of iptables stand in the kernel in the order of iptables -S, so
the handle's place in its chain is the rule's: `-A KUBE-PORTALS-CONTAINER -d 10.0.0.11/32 ...`. A rule of nftables is
shown as the trace has it.
"""

import json
import re
import subprocess
from functools import cache

from labkit.probe import makers
from labkit.probe.report import Hit, Look, Packet
from labkit.probe.trace_lines import Step

IPTABLES_TABLES = ("raw", "mangle", "nat", "filter", "security")


def looks(steps: list[Step], packet: Packet, protocol: str) -> list[Look]:
    """The steps of one packet by built-in chain; those at which no rule matched are left out."""
    found: list[Look] = []
    for step in steps:
        if step.what == "packet":
            found.append(
                Look(table=step.table, chain=step.chain, packet=step.packet or packet, interface=step.interface)
            )
        elif step.what == "rule" and found:
            found[-1].hits += [_hit(step), *_element(step, found[-1].packet, protocol)]
    return [look for look in found if look.hits]


def _hit(step: Step) -> Hit:
    position, rule = 0, step.text
    if step.table in IPTABLES_TABLES:
        position = _position(step.table, step.chain, step.handle)
        rules = _iptables(step.table, step.chain)
        rule = rules[position - 1] if 0 < position <= len(rules) else rule
    return Hit(
        table=step.table, chain=step.chain, rule=rule, verdict=step.verdict, position=position,
        maker=makers.tell(step.table, step.chain, rule),
    )  # fmt: skip


def _element(step: Step, packet: Packet, protocol: str) -> list[Hit]:
    """What a rule that looks into a named map found there: the line that a service port has in the map."""
    named = re.search(r"vmap @(\S+)", step.text)
    if not named:
        return []
    ip, _, port = packet.destination.partition(":")
    key = f"{ip} . {protocol} . {port}" if step.text.startswith("ip daddr") else f"{protocol} . {port}"
    printed = _run("nft", "get", "element", "ip", step.table, named[1], f"{{ {key} }}")
    held = re.search(r"elements = \{\s*(.*?)\s*\}", printed, re.DOTALL)
    if not held:
        return []
    chain, text = f"map {named[1]}", " ".join(held[1].split())
    made = makers.tell(step.table, chain, text)
    return [Hit(table=step.table, chain=chain, rule=text, verdict=step.verdict, maker=made)]


@cache
def _position(table: str, chain: str, handle: int) -> int:
    listed = json.loads(_run("nft", "-j", "list", "chain", "ip", table, chain) or '{"nftables": []}')["nftables"]
    handles = [each["rule"]["handle"] for each in listed if "rule" in each]
    return handles.index(handle) + 1 if handle in handles else 0


@cache
def _iptables(table: str, chain: str) -> list[str]:
    listed = _run("iptables", "-w", "-t", table, "-S", chain).splitlines()
    return [line for line in listed if line.startswith("-A ")]


def naming(*texts: str) -> int:
    """How many rules, set and map elements of this machine name one of these (a service port, an address)."""
    saved = _run("iptables-save").splitlines() + _run("nft", "list", "table", "ip", makers.NFTABLES_TABLE).splitlines()
    wanted = [text for text in texts if text]
    return sum(any(text in line for text in wanted) for line in saved)


def _run(*command: str) -> str:
    """What it says, nothing if it fails: a chain that went meanwhile, a table that is not there."""
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
