"""What was asked and what was seen of it; which connection goes on to the endpoint from the rules or kube-proxy."""

import re
from dataclasses import dataclass

from labkit.cluster import Cluster, Machine
from labkit.observe.objects import Objects
from labkit.observe.question import Question
from labkit.probe.report import Look, Report

_TARGET = re.compile(r"(?:--to-destination |dnat (?:ip )?to )([0-9.]+:[0-9]+)")


@dataclass
class Evidence:
    """What was asked and what was seen. far: conntrack of the endpoint's machine, None when nobody was asked.

    near: what the sending machine saw, when `report` is that of another one, to which it sent.
    """

    question: Question
    report: Report
    objects: Objects
    near: Report | None = None
    far: Report | None = None
    far_trouble: str = ""


def last_leg(report: Report) -> tuple[str, str] | None:
    """The connection that reaches the endpoint's machine: from where, to which endpoint."""
    if report.outgoing:
        return report.outgoing.local, report.outgoing.peer
    if report.attempts:
        return report.attempts[-1].source, report.attempts[-1].destination
    if report.flow:
        return report.flow.reply.destination, report.flow.reply.source
    if target := next((found for look in report.looks if (found := new_destination(look))), ""):
        return report.client, target  # refused: conntrack has forgotten it, the rule that was hit names the endpoint
    return None


def new_destination(look: Look) -> str:
    """IP:PORT that the rules of a chain have put into the packet, "" if none of them names one."""
    found = [_TARGET.search(hit.rule) for hit in look.hits]
    return next((each[1] for each in reversed(found) if each), "")


def far_machine(evidence: Evidence, cluster: Cluster) -> Machine | None:
    """Where the endpoint is that was chosen, when that is another machine than the one which was asked already."""
    leg = last_leg(evidence.report)
    ip = leg[1].partition(":")[0] if leg else ""
    pod = next((each for each in evidence.objects.pods if each.status.pod_ip == ip), None)
    for machine in cluster.machines:
        if machine != evidence.question.machine and (
            machine.address == ip or (pod and machine.name == pod.spec.node_name)
        ):
            return machine
    return None
