"""What the original's kube-proxy wrote for a set of services: recorded_services.json and recorded_rules.txt."""

import re
from pathlib import Path

import msgspec

from labkit.api.types import Service, key

_HERE = Path(__file__).parent
_OWNER = re.compile(r'--comment "([^":]+/[^":]+):')


def rules(section: str) -> list[str]:
    """The rules of a section, in order, with PORT for each local port and NODE for the machine's address."""
    for part in (_HERE / "recorded_rules.txt").read_text().split("\n## ")[1:]:
        title, *lines = part.splitlines()
        if title == section:
            return [line for line in lines if line]
    raise KeyError(section)


def services(section: str) -> list[Service]:
    """The services that existed when a section was recorded; the headless one, which has no rule, always did."""
    every = msgspec.json.decode((_HERE / "recorded_services.json").read_bytes(), type=list[Service])
    named = {owner for rule in rules(section) for owner in _OWNER.findall(rule)} | {"default/svc-headless"}
    return [service for service in every if key(service) in named]


def anonymous(rule: str, node_ip: str) -> str:
    """A rule as rules() writes them: PORT for the local port, NODE for the machine's address."""
    rule = re.sub(r"--to-ports \d+$", "--to-ports PORT", rule)
    return re.sub(rf"--to-destination {re.escape(node_ip)}:\d+$", "--to-destination NODE:PORT", rule)
