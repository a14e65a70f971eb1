"""A request, told: what `labkit packet` draws on a terminal, on paper, and as JSON."""

import msgspec

from labkit.observe.fault import Fault
from labkit.probe.report import Packet


class _Record(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Rule(_Record):
    """A rule that the packet met. function, source: who made it, empty for rules of others."""

    text: str
    verdict: str
    function: str = ""
    source: str = ""


class Station(_Record):
    """kind: pod, machine, host, rules, proxy. leaves: the packet as it goes on; changed: what was changed in it."""

    kind: str
    machine: str
    title: str
    notes: list[str] = []
    rules: list[Rule] = []
    leaves: Packet | None = None
    changed: str = ""


class Back(_Record):
    packet: Packet
    note: str


class Journey(_Record):
    """One request, told. `result` is what the client saw."""

    start: str
    to: str
    protocol: str
    mode: str
    result: str
    well: bool
    stations: list[Station]
    back: list[Back] = []
    faults: list[Fault] = []


def as_json(journey: Journey) -> str:
    """Indented, for people and for jq."""
    return msgspec.json.format(msgspec.json.encode(journey), indent=2).decode() + "\n"
