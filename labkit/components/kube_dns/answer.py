"""The answer to a DNS question: what is asked for, the difference between "nothing of that kind" and "no such name",
or that the name is not ours.

    name exists, has that type      NOERROR  the records
    name exists, not that type      NOERROR  nothing, and the zone's SOA     NODATA: no AAAA must not hide the A
    in a zone of ours, no such name NXDOMAIN nothing, and the zone's SOA
    not in our zones                REFUSED  at once; or forwarded, if cluster.json lists forwarders (forward.py)
    one label, as a typo has it     NXDOMAIN too: musl would wait 5 s after REFUSED, as it does for any other name
    a whole zone (AXFR, IXFR)       REFUSED
    nothing is known yet            SERVFAIL: "no such name" would be remembered

Source: RFC 1035, RFC 2308 (negative answers), RFC 8020 (a name with names below it exists), RFC 8482 (ANY).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.components.kube_dns.records import Record, Records

TTL = 30  # seconds that an answer may be remembered; kube2sky's
NEGATIVE_TTL = 5  # ... and a denial: a learner who creates the service now asks again soon
_TRANSFERS = ("AXFR", "IXFR")


class Question(NamedTuple):
    """name: lower case, with the root's dot. type: A, AAAA, SRV, PTR, SOA, ANY ..."""

    name: str
    type: str


@dataclass(frozen=True)
class Answer:
    """rcode as DNS names it. denied: the zone whose SOA goes into the authority section, "" for none."""

    rcode: str
    answers: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)
    denied: str = ""


def answer(question: Question, records: Records | None) -> Answer:
    """records is None until Services and Endpoints have been read for the first time."""
    if records is None:
        return Answer("SERVFAIL")
    if _is_plain(question.name, records.domain):
        return Answer("NXDOMAIN")
    zone = records.zone(question.name)
    if not zone or question.type in _TRANSFERS:
        return Answer("REFUSED")
    types = records.at(question.name)
    if types is None:
        return Answer("NXDOMAIN", denied=zone)
    if question.name == zone:
        types = {"SOA": [soa(records)]} | types
    kind = next(iter(types), "A") if question.type == "ANY" else question.type  # for ANY one type is enough
    found = [Record(question.name, kind, data) for data in types.get(kind, [])]
    return Answer("NOERROR", found, _targets(found, records), denied="" if found else zone)


def _is_plain(name: str, domain: str) -> bool:
    """One label that leads to no zone of ours: no server on earth is asked for it, so it does not exist."""
    return name.count(".") == 1 and name != "." and not f".{domain}".endswith(f".{name}")


def soa(records: Records) -> str:
    """A zone's SOA: primary server, mailbox, serial, refresh, retry, expire, how long a denial is remembered."""
    domain = records.domain
    return f"ns.dns.{domain} hostmaster.{domain} {records.serial} 28800 7200 604800 {NEGATIVE_TTL}"


def _targets(found: list[Record], records: Records) -> list[Record]:
    """The addresses of what SRV records point to: the next thing that the client would ask."""
    targets = dict.fromkeys(each.data.split()[-1] for each in found if each.type == "SRV")
    return [Record(name, "A", ip) for name in targets for ip in (records.at(name) or {}).get("A", [])]
