"""Why a name was not found: the first missing step, in words, with what to type next.

nobody could be asked | the nameserver is not the cluster's | service kube-dns, its endpoints, its rules, the way there
| kube-dns itself | the name: a typo, another namespace, a headless service without a ready pod
"""

import difflib
from collections.abc import Iterator

from labkit.api.services import HEADLESS
from labkit.api.types import Service, key
from labkit.cluster import Cluster
from labkit.observe.fault import Fault
from labkit.observe.lookup import DNS_SERVICE, Evidence

_RESTART = "labkit logs kube-dns; labkit ssh master systemctl restart kube-dns"


def find(evidence: Evidence, cluster: Cluster) -> list[Fault]:
    """All that is wrong, the cause before its consequences; empty when the name was found."""
    report, machine = evidence.report, evidence.place.machine.name
    if report.trouble:
        return [Fault(text=f"{machine}: {report.trouble}", mend=f"labkit ssh {machine}")]
    last = report.asked[-1]
    if last.found:
        return []
    if not last.answered:
        return [*_not_the_clusters(evidence, cluster), *_no_way(evidence, cluster)]
    if last.outcome == "SERVFAIL":
        return [Fault(text="kube-dns has not read the services yet: is kube-apiserver there?", mend="labkit status")]
    return [*_not_the_clusters(evidence, cluster), *_no_such_name(evidence, cluster)][:2]


def _not_the_clusters(evidence: Evidence, cluster: Cluster) -> Iterator[Fault]:
    report, place = evidence.report, evidence.place
    if cluster.dns.address in report.nameservers:
        return
    listed = ", ".join(report.nameservers)
    if place.pod and place.pod.spec.dns_policy == "Default":
        yield Fault(
            text=f"the pod has dnsPolicy: Default: it asks whom its machine asks, {listed}, and not {DNS_SERVICE}",
            mend="leave dnsPolicy out (ClusterFirst), and make the pod anew",
        )
    elif place.pod:
        yield Fault(
            text=f"the pod's resolv.conf says {listed}, not {cluster.dns.address}: its kubelet was started without"
            " --cluster-dns, or the image brings a resolv.conf of its own",
            mend=f"labkit ssh {place.machine.name} 'systemctl cat kubelet; cat /etc/kubernetes/kubelet.env'",
        )


def _no_way(evidence: Evidence, cluster: Cluster) -> Iterator[Fault]:
    """The nameserver did not answer: the first step on the way to kube-dns that is missing."""
    report, machine = evidence.report, evidence.place.machine.name
    server = report.asked[-1].server.partition(":")[0]
    if server != cluster.dns.address:
        yield Fault(text=f"{server}, the nameserver of {machine}, does not answer", mend=f"labkit ssh {machine}")
        return
    if not any(key(each) == DNS_SERVICE for each in evidence.objects.services):
        yield Fault(text=f"there is no service {DNS_SERVICE}: {server} belongs to nobody", mend="labkit up")
        return
    if not any(key(each) == DNS_SERVICE and each.subsets for each in evidence.objects.endpoints):
        yield Fault(text=f"service {DNS_SERVICE} has no endpoints: it leads to nobody", mend="labkit up")
        return
    alive = [each.server for each in report.direct if each.answered]
    if report.direct and not alive:
        where = report.direct[0]
        yield Fault(
            text=f"kube-dns does not answer at {where.server} either ({where.outcome}): it is down", mend=_RESTART
        )
    yield from _no_service_way(evidence, server, alive)


def _no_service_way(evidence: Evidence, server: str, alive: list[str]) -> Iterator[Fault]:
    report, machine = evidence.report, evidence.place.machine.name
    if report.route_trouble:
        yield Fault(
            text=f"{machine} has no route for {server}: {report.route_trouble}; without one a packet is dropped before"
            " any rule can rewrite it",
            mend=f"labkit ssh {machine} systemctl restart lab-net",
        )
    if not report.proxy_mode:
        left = f"{report.rules} rules that it left still name {server}" if report.rules else f"no rule names {server}"
        yield Fault(
            text=f"kube-proxy is not running on {machine}: {left}",
            mend=f"labkit logs kube-proxy -m {machine}; labkit ssh {machine} systemctl start kube-proxy",
        )
    elif not report.rules:
        yield Fault(
            text=f"no rule on {machine} names {server} (kube-proxy runs in {report.proxy_mode} mode): flushed, or not"
            " written yet; it puts them back within seconds",
            mend=f"labkit logs kube-proxy -m {machine}",
        )
    elif alive and not report.route_trouble:
        start = str(evidence.place.start).replace("pod ", "pod/")
        yield Fault(
            text=f"kube-dns answers at {alive[0]}, but not by way of its service {server}",
            mend=f"labkit packet {start} {DNS_SERVICE}:dns shows where the way ends",
        )


def _no_such_name(evidence: Evidence, cluster: Cluster) -> Iterator[Fault]:
    place, report = evidence.place, evidence.report
    last = report.asked[-1]
    exists = next((each for each in report.asked if each.outcome == "NOERROR"), None)
    if exists:
        yield Fault(
            text=f"{exists.name} exists, but has no {place.type} record",
            mend="A is a service's address; SRV (_PORT._PROTOCOL.SERVICE) its named ports; the cluster has no AAAA",
        )
        return
    if place.type == "PTR":
        yield Fault(text="no service or endpoint has that address", mend="kubectl get services --all-namespaces")
        return
    yield _service_fault(evidence, cluster)
    if last.outcome == "REFUSED":
        outside = ", ".join(cluster.dns.forwarders)
        yield Fault(
            text=f"{last.name} is no name in {cluster.dns.domain}, and kube-dns asks {outside or 'nobody outside'}",
            mend="dns.forwarders in cluster.json lists whom it may ask; musl (Alpine) waits 5 s after such an answer",
        )


def _service_fault(evidence: Evidence, cluster: Cluster) -> Fault:
    """The service that may have been meant, and why its name is not known."""
    services = evidence.objects.services
    name, namespace = meant(evidence.place.name, evidence.place.namespace, cluster.dns.domain)
    there = next((each for each in services if key(each) == f"{namespace}/{name}"), None)
    if there:
        return _known_service(there, evidence, cluster)
    elsewhere = [each.metadata.namespace for each in services if each.metadata.name == name]
    if elsewhere:
        return Fault(
            text=f"there is no service {name} in namespace {namespace}, but one in {', '.join(elsewhere)}",
            mend=f"ask for {name}.{elsewhere[0]}",
        )
    known = [each.metadata.name for each in services if each.metadata.namespace == namespace]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(near)}?" if near else ""
    return Fault(
        text=f"there is no service {name} in namespace {namespace}{guess}",
        mend=f"kubectl get services --namespace={namespace}",
    )


def _known_service(service: Service, evidence: Evidence, cluster: Cluster) -> Fault:
    name = f"{service.metadata.name}.{service.metadata.namespace}.svc.{cluster.dns.domain}"
    if name + "." not in [each.name for each in evidence.report.asked]:
        return Fault(
            text=f"service {key(service)} exists, but its name {name} was not among those tried",
            mend=f"ask for it in full: labkit dns {name}; search lists are for pods (resolv.conf)",
        )
    if service.spec.cluster_ip == HEADLESS:
        return Fault(
            text=f"service {key(service)} is headless, its name leads to its ready pods, and none is ready",
            mend=f"kubectl get endpoints {service.metadata.name} --namespace={service.metadata.namespace}",
        )
    return Fault(text=f"service {key(service)} exists, but kube-dns has no record of it", mend=_RESTART)


def meant(name: str, namespace: str, domain: str) -> tuple[str, str]:
    """Which service a name may mean: redis.prod.svc.cluster.local -> redis, prod; without one the pod's namespace."""
    short = name.rstrip(".").removesuffix(f".{domain}").removesuffix(".svc")
    labels = [label for label in short.split(".") if not label.startswith("_")]
    if len(labels) < 2:
        return (labels or [short])[0], namespace
    return labels[-2], labels[-1]
