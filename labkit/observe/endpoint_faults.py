"""What is wrong after an endpoint was chosen: the route to its machine, the endpoint itself;
and a route that is missing before all that."""

import ipaddress
from collections.abc import Iterator

from labkit.api.types import key
from labkit.cluster import Cluster
from labkit.observe.evidence import Evidence, last_leg
from labkit.observe.fault import Fault
from labkit.observe.service_faults import pod_state


def no_way(evidence: Evidence) -> Iterator[Fault]:
    """The machine that sends must have a way to the address itself, or no rule ever sees the packet."""
    way = (evidence.near or evidence.report).way
    machine = (evidence.question.sender or evidence.question.machine).name
    if way and way.trouble:
        yield Fault(
            text=f"{machine} has no route to {way.to}: {way.trouble}; without one a packet is dropped before any rule"
            " can rewrite it",
            mend=f"labkit ssh {machine} systemctl restart lab-net",
        )


def no_route(evidence: Evidence, cluster: Cluster) -> Iterator[Fault]:
    """Endpoints on another machine are reached by that machine."""
    here = evidence.question.machine
    for route in evidence.report.routes:
        for machine in cluster.machines:
            pods = cluster.pod_cidr(machine)
            if machine == here or ipaddress.ip_address(route.to) not in ipaddress.ip_network(pods):
                continue
            if route.via != machine.address:
                goes = route.trouble or (f"packets go to {route.via}" if route.via else f"packets stay on {route.dev}")
                yield Fault(
                    text=f"{here.name} has no route to {pods}, the pods of {machine.name}: {goes};"
                    f" expected by {machine.address}",
                    mend=f"labkit ssh {here.name} systemctl restart lab-net",
                )


def dead_endpoints(evidence: Evidence) -> Iterator[Fault]:
    report = evidence.report
    taken = report.outgoing and report.outgoing.state == "ESTAB"
    tried: dict[tuple[str, str], int] = {}
    for each in report.attempts:
        if not (taken and report.outgoing and each.source == report.outgoing.local):
            failed = each.destination, "refused" if each.answer == "refused" else "did not answer"
            tried[failed] = tried.get(failed, 0) + 1
    for (destination, what), times in tried.items():
        yield _dead(evidence, destination, what if times == 1 else f"{what}, {times} times")


def no_answer(evidence: Evidence) -> Iterator[Fault]:
    """The kernel chose the endpoint itself, and nothing came of it."""
    report = evidence.report
    leg = last_leg(report)
    if report.attempts or report.outgoing or leg is None or leg[1] not in evidence.question.backends:
        return
    if report.ending in ("refused", "silent", "unreachable"):
        yield _dead(evidence, leg[1], "refused" if report.ending == "refused" else "did not answer")


def _dead(evidence: Evidence, address: str, what: str) -> Fault:
    ip, _, port = address.partition(":")
    pod = next((each for each in evidence.objects.pods if each.status.pod_ip == ip), None)
    holder = f"pod {key(pod)}, {pod_state(pod)}" if pod else "no pod has this address"
    why = f"nothing listens on port {port} there" if what.startswith("refused") else "is it there at all?"
    mend = (
        f"kubectl logs {pod.metadata.name} --namespace={pod.metadata.namespace}" if pod else "kubectl get pods -o wide"
    )
    trouble = f"; {evidence.far_trouble}" if evidence.far_trouble else ""
    return Fault(text=f"endpoint {address} {what}: {why} ({holder}){trouble}", mend=mend)
