"""The request's way as stations on machines, each with the packet that leaves it.

client --> rules of the machine --> (kube-proxy) --> endpoint
"""

import ipaddress

from labkit.api.types import key
from labkit.cluster import Cluster
from labkit.observe.evidence import Evidence, last_leg, new_destination
from labkit.observe.journey import Rule, Station
from labkit.observe.outcome import NFTABLES, reached, result, through_proxy
from labkit.probe.report import Hit, Look, Maker, Packet, Report

_DNAT = ("dnat", "redirect")


def stations(evidence: Evidence, cluster: Cluster) -> list[Station]:
    question, report, near = evidence.question, evidence.report, evidence.near
    machine = question.machine.name
    sent = Packet(source=(near or report).client or "?", destination=question.target)
    kind = {"pod": "pod", "node": "machine", "host": "host"}[question.start.kind]
    where = "host" if kind == "host" else (question.sender or question.machine).name
    found = [Station(kind=kind, machine=where, title=str(question.start), leaves=sent)]
    found += [station for look in (near.looks if near else []) for station in _rules(look, near or report, where)]
    found += [station for look in report.looks for station in _rules(look, report, machine)]
    if through_proxy(report):
        found.append(_proxy(evidence))
    if end := _endpoint(evidence, cluster):
        found.append(end)
    return found


def _rules(look: Look, report: Report, machine: str) -> list[Station]:
    """A station for the rules that mattered; others' that let it pass are only counted."""
    shown = [hit for hit in look.hits if matters(hit)]
    if not shown:
        return []
    others = len(look.hits) - len(shown)
    notes = [f"and {others} more that let it pass"] if others else []
    leaves, changed = _after(look, report)
    rules = [Rule(text=_told(hit), verdict=hit.verdict, **_source(hit.maker)) for hit in shown]
    came = f"came in by {look.interface}" if look.interface else ""
    title = f"{'nftables' if look.table == NFTABLES else 'iptables'} {look.table} {look.chain}"
    return [
        Station(kind="rules", machine=machine, title=title, notes=[*([came] if came else []), *notes], rules=rules,
                leaves=leaves, changed=changed)
    ]  # fmt: skip


def _told(hit: Hit) -> str:
    """The rule; one that looks into a map does not say by itself where it led."""
    led = hit.verdict.startswith(("goto ", "jump ")) and "vmap {" in hit.rule
    return f"{hit.rule} → {hit.verdict}" if led else hit.rule


def matters(hit: Hit) -> bool:
    """kube-proxy's rules, those that end the packet, and those that change its address."""
    if hit.verdict == "drop" or " -j REJECT" in hit.rule:
        return True
    if hit.maker and "LAB-NET" not in hit.rule and hit.chain != "LAB-NET":
        return True
    return any(word in hit.rule for word in ("MASQUERADE", "SNAT", "DNAT", "REDIRECT"))


def _source(maker: Maker | None) -> dict[str, str]:
    return {"function": maker.function, "source": f"{maker.file}:{maker.line}"} if maker else {}


def _after(look: Look, report: Report) -> tuple[Packet | None, str]:
    """The packet behind this chain, and the change in words; conntrack knows both ends of each change."""
    flow, packet = report.flow, look.packet
    if any(hit.verdict == "drop" or " -j REJECT" in hit.rule for hit in look.hits):
        return None, "refused here"
    if flow is None:
        if not _says(look, *_DNAT):
            return packet, ""
        target = new_destination(look)
        now = Packet(source=packet.source, destination=target) if target else None
        return now, f"destination {packet.destination} becomes {target or 'a local port'}"
    if _says(look, *_DNAT) and flow.reply.source != packet.destination:
        now = Packet(source=packet.source, destination=flow.reply.source)
        return now, f"destination {packet.destination} becomes {flow.reply.source}"
    if _says(look, "masquerade", "snat") and flow.reply.destination != packet.source:
        now = Packet(source=flow.reply.destination, destination=packet.destination)
        return now, f"source {packet.source} becomes {flow.reply.destination}"
    return packet, ""


def _says(look: Look, *targets: str) -> bool:
    return any(target in hit.rule.lower() for hit in look.hits for target in targets)


def _proxy(evidence: Evidence) -> Station:
    report, machine = evidence.report, evidence.question.machine.name
    proxy, leg = report.proxy, last_leg(report)
    notes = []
    if report.listening:
        away = "" if proxy else ": systemd keeps it open meanwhile" if report.listening[0].pid == 1 else ""
        notes.append(f"local port {report.listening[0].local}{away}")
    if report.accepted:
        notes.append(f"accepted {report.accepted.peer} (descriptor {report.accepted.fd})")
    for attempt in report.attempts:
        if attempt.answer or not report.outgoing or attempt.source != report.outgoing.local:
            notes.append(f"tried {attempt.destination}: {attempt.answer or 'no answer'}")
    count = len(evidence.question.backends)
    rules = []
    if proxy and proxy.chooser and count:
        chosen = f"the next of {count} endpoints" if count > 1 else "the only endpoint"
        rules = [Rule(text=f"takes {chosen}", verdict="", **_source(proxy.chooser))]
    changed = "a connection of its own" if leg and through_proxy(report) else ""
    leaves = Packet(source=leg[0], destination=leg[1]) if leg and (report.outgoing or report.attempts) else None
    title = f"kube-proxy, process {proxy.pid}" if proxy else "kube-proxy is not running"
    return Station(kind="proxy", machine=machine, title=title, notes=notes, rules=rules, leaves=leaves,
                   changed=changed if leaves else "")  # fmt: skip


def _endpoint(evidence: Evidence, cluster: Cluster) -> Station | None:
    """Where it ends: the chosen endpoint, if the request got so far that one was chosen."""
    question, report = evidence.question, evidence.report
    leg = last_leg(report)
    if leg is None or leg[1] not in question.backends:
        return None
    ip = leg[1].partition(":")[0]
    pod = next((each for each in evidence.objects.pods if each.status.pod_ip == ip), None)
    machine = pod.spec.node_name if pod else _machine_of(ip, cluster)
    notes = []
    for each in report.routes:
        if each.to == ip and machine != question.machine.name and not each.trouble:
            notes.append(f"over {each.dev}, " + (f"by {each.via}" if each.via else "directly"))
    if evidence.far:
        state = evidence.far.flow.state or "known" if evidence.far.flow else ""
        notes.append(
            f"{machine}'s conntrack has the connection: {state}"
            if state
            else f"{machine}'s conntrack has no such connection"
        )
    if reached(report):
        notes.append(result(report))
    title = f"pod {key(pod)}" if pod else f"{machine or 'somebody'}, {leg[1]}"
    return Station(kind="pod" if pod else "machine", machine=machine or "?", title=title, notes=notes)


def _machine_of(ip: str, cluster: Cluster) -> str:
    for machine in cluster.machines:
        if ip == machine.address or ipaddress.ip_address(ip) in ipaddress.ip_network(cluster.pod_cidr(machine)):
            return machine.name
    return ""
