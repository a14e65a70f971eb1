"""What is wrong when a request fails: the first missing step, in words, with what to type next.

service has no endpoints | kube-proxy is not running | its rules are not there | no route to the endpoint's machine
| the endpoint refuses, or does not answer
"""

import ipaddress
from collections.abc import Iterator

import msgspec

from labkit.api.types import Pod, Service, key
from labkit.cluster import Cluster
from labkit.observe.packet import Evidence, last_leg

FAILED = ("closed", "reset", "refused", "silent", "unreachable")


class Fault(msgspec.Struct, kw_only=True, rename="camel"):
    """text: what is missing. mend: what to type, or to look at, next."""

    text: str
    mend: str


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
    found = [*_unusable(evidence), *_no_endpoints(evidence), *_no_proxy(evidence), *_no_rule(evidence)]
    found += [*_idle_proxy(evidence), *_no_route(evidence, cluster)]
    if not any("no route" in fault.text for fault in found):
        found += [*_dead_endpoints(evidence), *_no_answer(evidence)]
    if not found and evidence.report.ending in FAILED:
        found.append(_unexplained(evidence))
    return found


def _unusable(evidence: Evidence) -> Iterator[Fault]:
    if evidence.question.service is None:
        return
    meta = evidence.question.service.metadata
    for address in evidence.question.unusable:
        loopback = ipaddress.ip_address(address.partition(":")[0]).is_loopback
        why = "each machine's own loopback" if loopback else "in the service range: connections would go in circles"
        yield Fault(
            text=f"endpoint {address} is not used, as it is {why}",
            mend=f"kubectl edit endpoints {meta.name} --namespace={meta.namespace}",
        )


def _no_endpoints(evidence: Evidence) -> Iterator[Fault]:
    service = evidence.question.service
    if service is None or evidence.question.backends or evidence.question.unusable:
        return
    name, selector = key(service), service.spec.selector
    if not selector:
        yield Fault(
            text=f"service {name} has no selector and nobody has made endpoints for it",
            mend=f"kubectl create -f FILE, with the Endpoints {name}: the addresses that shall answer",
        )
        return
    labels = ",".join(f"{name}={value}" for name, value in selector.items())
    mine = [pod for pod in evidence.objects.pods if _selected(pod, service)]
    if not mine:
        text = f"service {name} has no endpoints: no pod in {service.metadata.namespace} has the labels {labels}"
    else:
        states = ", ".join(f"{pod.metadata.name} ({_state(pod)})" for pod in mine[:4])
        text = f"service {name} has no endpoints: of the pods with {labels} none is ready: {states}"
    yield Fault(text=text, mend=f"kubectl get pods --namespace={service.metadata.namespace} -l {labels}")


def _selected(pod: Pod, service: Service) -> bool:
    same = pod.metadata.namespace == service.metadata.namespace
    return same and service.spec.selector.items() <= (pod.metadata.labels or {}).items()


def _state(pod: Pod) -> str:
    ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)
    where = f" on {pod.spec.node_name}" if pod.spec.node_name else ", not scheduled"
    return f"{pod.status.phase or 'Pending'}{where}{'' if ready else ', not ready'}"


def _no_proxy(evidence: Evidence) -> Iterator[Fault]:
    if evidence.report.proxy or evidence.question.service is None:
        return
    machine = evidence.question.machine.name
    held = any(each.pid == 1 for each in evidence.report.listening)
    if held:
        what = "systemd holds its port open, the connection waits for it"
    elif evidence.report.service_rules:
        what = "the rules that it left still stand"
    else:
        what = "and it has left no rules"
    yield Fault(
        text=f"kube-proxy is not running on {machine}; {what}",
        mend=f"labkit logs kube-proxy -m {machine}; labkit ssh {machine} systemctl start kube-proxy",
    )


def _idle_proxy(evidence: Evidence) -> Iterator[Fault]:
    """The rules lead to kube-proxy's process, and it goes no further."""
    report, machine = evidence.report, evidence.question.machine.name
    flow, backends = report.flow, evidence.question.backends
    if not (report.proxy and report.proxy.mode == "userspace" and flow and backends and translated(evidence)):
        return
    if report.outgoing or report.attempts or flow.reply.source in backends:
        return
    port = flow.reply.source.rpartition(":")[2]
    if report.listening:
        text = f"kube-proxy, process {report.proxy.pid}, has the request at its port {port} and does not carry it on"
    else:
        text = f"the rules lead to port {port} of {machine}, where nobody listens"
    yield Fault(
        text=text, mend=f"labkit logs kube-proxy -m {machine}; labkit ssh {machine} systemctl restart kube-proxy"
    )


def _no_rule(evidence: Evidence) -> Iterator[Fault]:
    question, report = evidence.question, evidence.report
    if question.service is None or not report.client or report.ending == "":
        return
    if translated(evidence) or (report.looks and _dropped_by_proxy(evidence)):
        return
    machine, what = question.machine.name, question.port_name or question.target
    again = "kube-proxy puts it back within 5 s" if report.proxy else "nobody puts it back while kube-proxy is away"
    if report.service_rules:
        text = (
            f"rules on {machine} name {what} ({report.service_rules}), but the packet met none of them: a jump to their"
            f" chain, or the rule for this address, is missing; {again}"
        )
    else:
        text = f"no rule on {machine} names {what}: not written yet, or flushed; {again}"
    nftables = report.proxy is not None and report.proxy.mode == "nftables"
    look = "nft list table ip kube-proxy" if nftables else "'iptables-save -t nat | grep KUBE'"
    yield Fault(text=text, mend=f"labkit ssh {machine} {look}")


def translated(evidence: Evidence) -> bool:
    """Whether the rules gave the packet another destination."""
    flow = evidence.report.flow
    if flow and flow.reply.source != flow.original.destination:
        return True
    words = ("DNAT", "REDIRECT", "dnat", "redirect")
    return any(word in hit.rule for look in evidence.report.looks for hit in look.hits for word in words)


def _dropped_by_proxy(evidence: Evidence) -> bool:
    """Rules of kube-proxy that refuse on purpose: a service without endpoints, in the modes that carry nothing."""
    return any(
        hit.maker is not None and "kube_proxy" in hit.maker.file and ("REJECT" in hit.rule or "reject" in hit.rule)
        for look in evidence.report.looks
        for hit in look.hits
    )


def _no_route(evidence: Evidence, cluster: Cluster) -> Iterator[Fault]:
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


def _dead_endpoints(evidence: Evidence) -> Iterator[Fault]:
    report = evidence.report
    taken = report.outgoing and report.outgoing.state == "ESTAB"
    tried: dict[tuple[str, str], int] = {}
    for each in report.attempts:
        if not (taken and report.outgoing and each.source == report.outgoing.local):
            failed = each.destination, "refused" if each.answer == "refused" else "did not answer"
            tried[failed] = tried.get(failed, 0) + 1
    for (destination, what), times in tried.items():
        yield _dead(evidence, destination, what if times == 1 else f"{what}, {times} times")


def _no_answer(evidence: Evidence) -> Iterator[Fault]:
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
    holder = f"pod {key(pod)}, {_state(pod)}" if pod else "no pod has this address"
    why = f"nothing listens on port {port} there" if what.startswith("refused") else "is it there at all?"
    mend = (
        f"kubectl logs {pod.metadata.name} --namespace={pod.metadata.namespace}" if pod else "kubectl get pods -o wide"
    )
    trouble = f"; {evidence.far_trouble}" if evidence.far_trouble else ""
    return Fault(text=f"endpoint {address} {what}: {why} ({holder}){trouble}", mend=mend)


def _unexplained(evidence: Evidence) -> Fault:
    report = evidence.report
    if report.ending in ("closed", "reset") and report.outgoing:
        text = f"the endpoint {report.outgoing.peer} took the connection and ended it without a byte"
        return Fault(text=text, mend="is it a request that it wants first? --send 'PING\\r\\n'")
    text = f"the request was {report.ending}, and nothing on its way tells why"
    return Fault(text=text, mend=f"labkit logs kube-proxy -m {evidence.question.machine.name}")
