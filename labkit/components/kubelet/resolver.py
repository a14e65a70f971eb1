"""Who answers a pod's names: the cluster's DNS (dnsPolicy ClusterFirst) or the machine's own (Default).

    search default.svc.cluster.local svc.cluster.local cluster.local
    nameserver 10.0.0.10
    options ndots:5

Two differences from 1.0: `ndots:5`, without which musl's resolver never tries the search list for a name that has a
dot (redis-master.default); and nothing of the machine's resolv.conf is added, so that a name is never asked elsewhere.
"""

from labkit.api.types import Pod
from labkit.components.kubelet.runtime import Resolver

NOBODY = "127.0.0.1"  # in the pod nobody listens there: refused at once, where docker would put 8.8.8.8


def resolver_of(pod: Pod, cluster_dns: str, domain: str, machine: Resolver) -> Resolver:
    """The pod's resolv.conf; `machine` is the machine's own."""
    if pod.spec.dns_policy == "Default" or not cluster_dns:
        return machine
    searches = (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain)
    return Resolver((cluster_dns,), searches, ("ndots:5",))


def parse_resolv_conf(text: str) -> Resolver:
    """The nameserver, search and options lines; of several search lines the last holds (resolv.conf(5))."""
    nameservers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        match line.split("#")[0].split():
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search" | "domain", *names]:
                searches = names
            case ["options", *words]:
                options += words
    return Resolver(tuple(nameservers[:3]) or (NOBODY,), tuple(searches), tuple(options))
