"""The lines of `nft -a monitor trace`, by packet.

trace id 1321308a ip nat PREROUTING packet: iif "docker0" ... ip saddr 10.244.2.2 ip daddr 10.0.0.11 ...
trace id 1321308a ip nat KUBE-PORTALS-CONTAINER rule ... # handle 5 (verdict accept)
"""

import re
from dataclasses import dataclass, field

from labkit.probe.report import Packet

_LINE = re.compile(
    r"trace id (?P<id>\w+) \w+ (?P<table>\S+) (?P<chain>\S+) (?P<what>packet:|rule|verdict|policy)(?P<rest>.*)"
)

_RULE = re.compile(r"\s*(?P<text>.*?) # handle (?P<handle>\d+) \(verdict (?P<verdict>.*)\)\s*$")

_ADDRESSES = re.compile(r"ip saddr (\S+) ip daddr (\S+) .*(?:tcp|udp) sport (\d+) (?:tcp|udp) dport (\d+)")


@dataclass
class Step:
    """One line of a packet's trace. text, handle: of a rule. packet: of a `packet:` line."""

    table: str
    chain: str
    what: str
    text: str = ""
    handle: int = 0
    verdict: str = ""
    packet: Packet | None = None
    interface: str = ""


@dataclass
class Traced:
    """A marked packet. role: the chain of ours that marked it: client-in, client-out, attempt, refusal."""

    role: str
    packet: Packet
    steps: list[Step] = field(default_factory=list)


def parse(lines: list[str], own_table: str) -> list[Traced]:
    """The marked packets, in the order in which they came, without our pings."""
    found: list[Traced] = []
    headers: dict[str, Packet] = {}  # by trace id, which the kernel uses again
    current: dict[str, Traced] = {}
    for line in lines:
        match = _LINE.match(line)
        if not match:
            continue
        identity, addressed = match["id"], _ADDRESSES.search(match["rest"])
        if match["table"] != own_table:
            if identity not in current and addressed and (known := _same(found, _packet(addressed))):
                current[identity] = known
            if identity in current:
                current[identity].steps.append(_step(match, addressed))
        elif match["what"] == "packet:" and addressed:
            headers[identity] = _packet(addressed)
        elif identity in current and current[identity].packet == headers.get(identity):
            continue  # marked already: the client's packet goes to an endpoint as it is
        elif match["what"] == "rule" and identity in headers:  # the rule that marks it
            current[identity] = Traced(match["chain"], headers[identity])
            found.append(current[identity])
    return found


def _same(found: list[Traced], packet: Packet) -> Traced | None:
    """The marked packet that goes on under another id, as it does when it is forwarded: it has kept its source."""
    return next((each for each in reversed(found) if each.packet.source == packet.source), None)


def _step(match: re.Match[str], addressed: re.Match[str] | None) -> Step:
    step = Step(match["table"], match["chain"], match["what"].rstrip(":"))
    if rule := _RULE.match(match["rest"]):
        step.text, step.handle, step.verdict = rule["text"].strip(), int(rule["handle"]), rule["verdict"]
    elif step.what == "packet":
        step.packet = _packet(addressed) if addressed else None
        came = re.search(r'\biif "([^"]+)"', match["rest"])
        step.interface = came[1] if came and " oif " not in match["rest"] else ""
    else:
        step.verdict = match["rest"].strip()
    return step


def _packet(found: re.Match[str]) -> Packet:
    return Packet(source=f"{found[1]}:{found[3]}", destination=f"{found[2]}:{found[4]}")
