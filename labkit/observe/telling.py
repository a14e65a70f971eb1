"""What the evidence means: the request's way, its way back, and what is wrong."""

from labkit.cluster import Cluster
from labkit.observe.evidence import Evidence
from labkit.observe.faults import find
from labkit.observe.journey import Back, Journey
from labkit.observe.outcome import mode, reached, result
from labkit.observe.stations import stations
from labkit.probe.report import Packet, Report


def tell(evidence: Evidence, cluster: Cluster) -> Journey:
    """The decision: from what was seen to what it means."""
    question, report = evidence.question, evidence.report
    wrong = find(evidence, cluster)
    return Journey(
        start=str(question.start), to=question.to, protocol=question.protocol, mode=mode(report), result=result(report),
        well=not wrong, stations=stations(evidence, cluster), faults=wrong,
        back=_back(report, evidence.near) if reached(report) else [],
    )  # fmt: skip


def _back(report: Report, near: Report | None) -> list[Back]:
    """The answer's way: each packet, and who changes what in it."""
    flow, found = report.flow, []
    if report.outgoing:
        answer = Packet(source=report.outgoing.peer, destination=report.outgoing.local)
        found.append(Back(packet=answer, note="the endpoint answers kube-proxy, who asked it"))
        if flow:
            found.append(Back(packet=flow.reply, note="kube-proxy passes it on to the client's connection"))
    elif flow:
        hidden = flow.reply.destination != flow.original.source
        note = "to the machine that had put its own address there" if hidden else "the endpoint answers the client"
        found.append(Back(packet=flow.reply, note=note))
    if flow and (flow.reply.source != flow.original.destination or flow.reply.destination != flow.original.source):
        last = Packet(source=flow.original.destination, destination=flow.original.source)
        found.append(Back(packet=last, note="conntrack puts the addresses back: the client never saw another"))
    if near and near.flow and near.flow.reply.destination != near.flow.original.source:
        last = Packet(source=near.flow.original.destination, destination=near.flow.original.source)
        found.append(Back(packet=last, note="the sending machine puts the client's address back"))
    return found
