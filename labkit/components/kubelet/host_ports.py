"""Host ports: of two pods that want the same port of this machine the second is refused.

    web-1  hostPort 80/TCP  created 10:00   runs
    dns    hostPort 80/UDP  created 10:01   runs: another protocol
    web-2  hostPort 80/TCP  created 10:02   Failed, HostPortConflict

The scheduler sends no such pod (PodFitsPorts); it comes past the scheduler, bound by hand or as a static pod. Who was
let in stays in; of those who come together the older goes first.
Source: checkHostPortConflicts, pkg/kubelet/kubelet.go of Kubernetes 0.18.
"""

from collections.abc import Iterable
from typing import NamedTuple

from labkit.api.types import Pod

REASON = "HostPortConflict"
MESSAGE = "Pod cannot be started due to host port conflict"
EVENT, TOLD = "hostPortConflict", "Cannot start the pod due to host port conflict."


class Tenant(NamedTuple):
    """A pod of this node; settled: it was let in before."""

    pod: Pod
    settled: bool


def host_ports(pod: Pod) -> set[tuple[int, str]]:
    """(80, "TCP"), ...: what it wants of the machine."""
    ports = (port for container in pod.spec.containers for port in container.ports)
    return {(port.host_port, port.protocol or "TCP") for port in ports if port.host_port}


def taken(pod: Pod, others: Iterable[Tenant]) -> set[tuple[int, str]]:
    """The decision: which of the pod's host ports others have; with one of them it cannot run."""
    wanted, mine = host_ports(pod), _age(pod)
    if not wanted:
        return set()
    given: set[tuple[int, str]] = set()
    for other in sorted(others, key=lambda each: (not each.settled, _age(each.pod))):
        ports = host_ports(other.pod)
        if other.settled or (_age(other.pod) < mine and not ports & given):
            given |= ports
    return wanted & given


def _age(pod: Pod) -> tuple[str, str, str]:
    return pod.metadata.creation_timestamp or "", pod.metadata.name, pod.metadata.uid
