"""`labkit dns`: one name, looked up as a program in a pod would, and what that means.

place        where it is asked: a pod or a machine                                    Place, or Refused
investigate  python -m labkit.probe dns on that machine does it                       NameReport
tell         each name that was tried, who answered, what is wrong                    Lookup     <- the decision
"""

import functools
import ipaddress
from dataclasses import dataclass

import msgspec

from labkit.api.types import Pod, Service, key
from labkit.cluster import Cluster, Machine
from labkit.observe import question
from labkit.observe.ends import From
from labkit.observe.fault import Fault
from labkit.observe.objects import Objects, Refused
from labkit.observe.packet import PROBE, Reach
from labkit.probe.asked import Asked, Data, NameReport, NameRequest
from labkit.probe.message import TYPES
from labkit.provision.ssh import Ssh

DNS_SERVICE = "kube-system/kube-dns"


@dataclass(frozen=True)
class Place:
    """Who asks for what. name, type: as they are asked (an address became the name of its PTR record)."""

    start: From
    machine: Machine
    pod: Pod | None
    name: str
    type: str

    @property
    def namespace(self) -> str:
        return self.pod.metadata.namespace if self.pod else "default"


@dataclass(frozen=True)
class Evidence:
    place: Place
    report: NameReport
    objects: Objects


class Step(msgspec.Struct, kw_only=True, rename="camel"):
    """One question. server: whom, and who that is. note: what the outcome means."""

    name: str
    type: str
    server: str
    outcome: str
    found: bool
    note: str = ""
    records: list[Data] = []
    milliseconds: float = 0.0


class Lookup(msgspec.Struct, kw_only=True, rename="camel"):
    """All of it, for people. order: why the names are tried in that order. left: names that were not tried."""

    start: str
    machine: str
    name: str
    type: str
    nameservers: list[str]
    searches: list[str]
    options: list[str]
    order: str
    steps: list[Step]
    left: list[str]
    result: str
    faults: list[Fault]

    @property
    def well(self) -> bool:
        return not self.faults


def place(start: From, name: str, kind: str, objects: Objects, cluster: Cluster) -> Place:
    """Raises Refused."""
    if start.kind == "host":
        first = (cluster.agents or cluster.machines)[0].name
        raise Refused(
            f"this computer's resolver knows nothing of {cluster.dns.domain}, and {cluster.dns.address} means nothing"
            f" outside of the machines: nothing was sent. Ask from one: labkit dns {name} --from node/{first}"
        )
    if kind not in TYPES:
        raise Refused(f"--type {kind}: expected one of {', '.join(TYPES)}")
    pod, machine = question.starting_point(start, objects, cluster)
    if (reverse := _reverse(name)) and kind == "A":
        return Place(start, machine, pod, reverse, "PTR")
    if not name.strip(".") or len(name) > 253 or any(not 0 < len(each) < 64 for each in name.rstrip(".").split(".")):
        raise Refused(
            f"{name!r} is no name: expected labels of 1 to 63 letters with dots in between, or an IPv4 address"
        )
    return Place(start, machine, pod, name, kind)


def _reverse(name: str) -> str:
    try:
        return ipaddress.IPv4Address(name).reverse_pointer + "."
    except ValueError:
        return ""


def investigate(place: Place, found: Objects, cluster: Cluster, seconds: float, reach: Reach | None = None) -> Evidence:
    """Ask. Raises CommandFailed when the machine cannot be reached."""
    to: Reach = reach or functools.partial(Ssh, cluster)
    direct = [
        f"{address.ip}:{port.port}"
        for each in found.endpoints
        if key(each) == DNS_SERVICE
        for subset in each.subsets
        for port in subset.ports
        if port.protocol == "UDP"
        for address in subset.addresses
    ]
    asked = NameRequest(
        name=place.name, type=place.type, pod=key(place.pod) if place.pod else "", direct=direct, seconds=seconds
    )
    with to(place.machine) as shell:
        ran = shell.run(f"{PROBE} dns", timeout=12 * seconds + 40, input=msgspec.json.encode(asked), what="asking")
    return Evidence(place, msgspec.json.decode(ran.out.splitlines()[-1], type=NameReport), found)


def tell(evidence: Evidence, faults: list[Fault]) -> Lookup:
    place, report = evidence.place, evidence.report
    asked = [each.name for each in report.asked]
    return Lookup(
        start=str(place.start), machine=place.machine.name, name=place.name, type=place.type,
        nameservers=[_server(f"{each}:53", evidence) for each in report.nameservers],
        searches=report.searches, options=report.options, order=_order(place.name, report),
        steps=[_step(each, evidence) for each in report.asked],
        left=[name for name in report.names if name not in asked], result=_result(evidence), faults=faults,
    )  # fmt: skip


def _order(name: str, report: NameReport) -> str:
    dots = name.count(".")
    count = f"{dots} dot{'' if dots == 1 else 's'}"
    if name.endswith("."):
        return "it ends with a dot: it is asked for as it is, the search list is left out"
    if not report.searches:
        return "there is no search list: it is asked for as it is"
    if dots >= report.ndots:
        return f"{count}, not fewer than ndots:{report.ndots}: first as it is, then with each word of the search list"
    return f"{count}, fewer than ndots:{report.ndots}: first with each word of the search list, then as it is"


def _step(asked: Asked, evidence: Evidence) -> Step:
    return Step(
        name=asked.name, type=asked.type, server=_server(asked.server, evidence), outcome=asked.outcome,
        found=asked.found, note=_note(asked), records=asked.records, milliseconds=asked.milliseconds,
    )  # fmt: skip


def _server(address: str, evidence: Evidence) -> str:
    """10.0.0.10:53, the service kube-system/kube-dns, which is 10.245.1.11:53."""
    service = owner(address.partition(":")[0], evidence.objects)
    if service is None:
        return address
    behind = [
        each.ip
        for one in evidence.objects.endpoints
        if key(one) == key(service)
        for subset in one.subsets
        for each in subset.addresses
    ]
    return f"{address} = service {key(service)}, behind it {', '.join(behind) or 'nobody'}"


def owner(ip: str, objects: Objects) -> Service | None:
    return next((each for each in objects.services if each.spec.cluster_ip == ip), None)


def _note(asked: Asked) -> str:
    later = f"; that may be remembered for {asked.remembered} s" if asked.remembered is not None else ""
    if asked.found:
        return "did not fit into a datagram: asked for again over TCP" if asked.tcp else ""
    return {
        "NOERROR": f"the name exists, but has no {asked.type} record{later}",
        "NXDOMAIN": f"no such name{later}",
        "REFUSED": "not a name of the cluster, and this server asks nobody else: that ends the search",
        "SERVFAIL": "the server should know, but cannot find out now",
        "silent": "no answer in time",
        "nobody listens": "an ICMP message came back: at that address nobody listens",
        "unreachable": "there is no way to that address",
        "garbage": "the answer could not be read",
    }.get(asked.outcome, "the server did not understand the question")


def _result(evidence: Evidence) -> str:
    report = evidence.report
    if report.trouble or not report.asked:
        return f"{evidence.place.name}: nothing could be asked"
    last = report.asked[-1]
    if not last.found:
        return f"{evidence.place.name} was not found"
    data = [each.data for each in last.records if each.type == last.type] or [each.data for each in last.records]
    service = owner(data[0], evidence.objects) if len(data) == 1 else None
    return f"{evidence.place.name} is {', '.join(data)}" + (f", the service {key(service)}" if service else "")


def as_json(lookup: Lookup) -> str:
    return msgspec.json.format(msgspec.json.encode(lookup), indent=2).decode() + "\n"
