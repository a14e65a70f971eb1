"""The answer to a DNS question: what is asked for, the difference between "nothing of that kind" and "no such name",
or that the name is not ours.

    name exists, has that type      NOERROR  the records
    name exists, not that type      NOERROR  nothing, and the zone's SOA     NODATA: no AAAA must not hide the A
    in our domain, does not exist   NXDOMAIN nothing, and the zone's SOA
    not in our domain               REFUSED  at once: nobody outside is asked
    nothing is known yet            SERVFAIL: "no such name" would be remembered

Source: RFC 1035, RFC 2308 (negative answers), RFC 8020 (a name with names below it exists).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.components.kube_dns.records import Record, Records

TTL = 30  # seconds that an answer may be remembered; kube2sky's
NEGATIVE_TTL = 5  # ... and a denial: a learner who creates the service now asks again soon


class Question(NamedTuple):
    """name: lower case, with the root's dot. type: A, AAAA, SRV, PTR, SOA, ANY ..."""

    name: str
    type: str


@dataclass(frozen=True)
class Answer:
    """rcode as DNS names it. denial: the zone's SOA goes into the authority section."""

    rcode: str
    answers: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)
    denial: bool = False


def answer(question: Question, records: Records | None) -> Answer:
    """records is None until Services and Endpoints have been read for the first time."""
    if records is None:
        return Answer("SERVFAIL")
    if not records.contains(question.name):
        return Answer("REFUSED")
    types = records.at(question.name)
    if types is None:
        return Answer("NXDOMAIN", denial=True)
    if question.name == records.domain:
        types = {"SOA": [soa(records)]}
    wanted = types if question.type == "ANY" else {question.type: types.get(question.type, [])}
    found = [Record(question.name, kind, data) for kind, group in wanted.items() for data in group]
    return Answer("NOERROR", found, _targets(found, records), denial=not found)


def soa(records: Records) -> str:
    """The zone's SOA: primary server, mailbox, serial, refresh, retry, expire, how long a denial is remembered."""
    domain = records.domain
    return f"ns.dns.{domain} hostmaster.{domain} {records.serial} 28800 7200 604800 {NEGATIVE_TTL}"


def _targets(found: list[Record], records: Records) -> list[Record]:
    """The addresses of what SRV records point to: the next thing that the client would ask."""
    targets = dict.fromkeys(each.data.split()[-1] for each in found if each.type == "SRV")
    return [Record(name, "A", ip) for name in targets for ip in (records.at(name) or {}).get("A", [])]
