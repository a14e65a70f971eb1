"""What is wrong when a request fails: the first missing step, in words, with what to type next.

service has no endpoints | kube-proxy is not running | its rules are not there | no route to the service's address, or
to the endpoint's machine | the endpoint refuses, or does not answer
"""

from labkit.cluster import Cluster
from labkit.observe.endpoint_faults import dead_endpoints, no_answer, no_route, no_way
from labkit.observe.evidence import Evidence
from labkit.observe.fault import Fault
from labkit.observe.service_faults import idle_proxy, no_endpoints, no_proxy, no_rule, unusable

FAILED = ("closed", "reset", "refused", "silent", "unreachable")


def find(evidence: Evidence, cluster: Cluster) -> list[Fault]:
    """All that is wrong, the cause before its consequences; empty when the request went through."""
    if evidence.report.trouble:
        machine = evidence.question.machine.name
        return [Fault(text=f"{machine}: {evidence.report.trouble}", mend=f"labkit ssh {machine}")]
    if (
        (near := evidence.near)
        and evidence.question.sender
        and not evidence.report.client.rpartition(":")[2].strip("0")
    ):
        there, machine = evidence.question.machine, evidence.question.sender.name
        text = near.trouble or f"what it sent to {evidence.question.target} never came to {there.name}"
        return [Fault(text=f"{machine}: {text}", mend=f"labkit ssh {machine} ip route get {there.address}")]
    found = [*unusable(evidence), *no_endpoints(evidence), *no_proxy(evidence)]
    if way := [*no_way(evidence)]:
        return found + way
    found += no_rule(evidence)
    if route := [*no_route(evidence, cluster)]:
        return found + route
    found += [*idle_proxy(evidence), *dead_endpoints(evidence), *no_answer(evidence)]
    if not found and evidence.report.ending in FAILED:
        found.append(_unexplained(evidence))
    return found


def _unexplained(evidence: Evidence) -> Fault:
    report = evidence.report
    if report.ending in ("closed", "reset") and report.outgoing:
        text = f"the endpoint {report.outgoing.peer} took the connection and ended it without a byte"
        return Fault(text=text, mend="is it a request that it wants first? --send 'PING\\r\\n'")
    text = f"the request was {report.ending}, and nothing on its way tells why"
    return Fault(text=text, mend=f"labkit logs kube-proxy -m {evidence.question.machine.name}")
