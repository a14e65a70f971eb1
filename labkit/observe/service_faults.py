"""What is wrong before an endpoint is chosen: the service, kube-proxy, its rules."""

import ipaddress
from collections.abc import Iterator

from labkit.api.types import Pod, Service, key
from labkit.observe.evidence import Evidence
from labkit.observe.fault import Fault


def unusable(evidence: Evidence) -> Iterator[Fault]:
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


def no_endpoints(evidence: Evidence) -> Iterator[Fault]:
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
        states = ", ".join(f"{pod.metadata.name} ({pod_state(pod)})" for pod in mine[:4])
        text = f"service {name} has no endpoints: of the pods with {labels} none is ready: {states}"
    yield Fault(text=text, mend=f"kubectl get pods --namespace={service.metadata.namespace} -l {labels}")


def _selected(pod: Pod, service: Service) -> bool:
    same = pod.metadata.namespace == service.metadata.namespace
    return same and service.spec.selector.items() <= (pod.metadata.labels or {}).items()


def pod_state(pod: Pod) -> str:
    ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)
    where = f" on {pod.spec.node_name}" if pod.spec.node_name else ", not scheduled"
    return f"{pod.status.phase or 'Pending'}{where}{'' if ready else ', not ready'}"


def no_proxy(evidence: Evidence) -> Iterator[Fault]:
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


def idle_proxy(evidence: Evidence) -> Iterator[Fault]:
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


def no_rule(evidence: Evidence) -> Iterator[Fault]:
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
