"""What runs on a node, with the sums that the scheduler asks for again and again.

A pod counts with its containers' limits (0.18 and 1.0 know no requests). The priorities count a container without a
limit as if it had a small one, otherwise a node full of such pods would look as empty as an idle one.
Source: plugin/pkg/scheduler/algorithm of Kubernetes 1.0 (getNonzeroLimits).
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from labkit.api.quantity import milli_value, value
from labkit.api.types import Container, Node, Pod

DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024


class Resources(NamedTuple):
    """milli_cpu in thousandths of a core, memory in bytes."""

    milli_cpu: int = 0
    memory: int = 0

    def plus(self, other: "Resources") -> "Resources":
        return Resources(self.milli_cpu + other.milli_cpu, self.memory + other.memory)

    def minus(self, other: "Resources") -> "Resources":
        return Resources(self.milli_cpu - other.milli_cpu, self.memory - other.memory)


def limits(pod: Pod) -> Resources:
    """The sum of the limits of a pod's containers; a container without one counts nothing."""
    return _sum(pod.spec.containers, Resources())


def presumed_limits(pod: Pod) -> Resources:
    """The same sum, a container without a limit counting as 100m and 200 MB (an explicit 0 stays 0)."""
    return _sum(pod.spec.containers, Resources(DEFAULT_MILLI_CPU, DEFAULT_MEMORY))


def _sum(containers: Iterable[Container], absent: Resources) -> Resources:
    cpu = memory = 0
    for container in containers:
        given = container.resources.limits
        cpu += milli_value(given["cpu"]) if "cpu" in given else absent.milli_cpu
        memory += value(given["memory"]) if "memory" in given else absent.memory
    return Resources(cpu, memory)


def capacity(node: Node) -> Resources:
    given = node.status.capacity
    return _capacity(given.get("cpu", "0"), given.get("memory", "0"))


@lru_cache(maxsize=1024)  # nodes are of few sizes, and each decision asks for all of them
def _capacity(cpu: str, memory: str) -> Resources:
    return Resources(milli_value(cpu), value(memory))


def host_ports(pod: Pod) -> list[int]:
    """The ports of the node that a pod takes."""
    return [port.host_port for container in pod.spec.containers for port in container.ports if port.host_port]


class Kin(NamedTuple):
    """What selectors look at: pods of one namespace with the same labels are the same to them."""

    namespace: str
    labels: frozenset[tuple[str, str]]


class NodeInfo:
    """The pods on one node. `NodeInfo([pod, ...])` or add and remove them one by one.

    `kin` counts them by what selectors look at: pods of a controller are many, but all alike.
    """

    def __init__(self, pods: Iterable[Pod] = ()) -> None:
        self._pods: dict[str, Pod] = {}
        self.kin: Counter[Kin] = Counter()
        self.limits = Resources()
        self.presumed_limits = Resources()
        for pod in pods:
            self.add(pod)

    @property
    def pods(self) -> list[Pod]:
        return list(self._pods.values())

    def __len__(self) -> int:
        return len(self._pods)

    def add(self, pod: Pod) -> None:
        """Add a pod, or replace its former state (a pod is known by its uid)."""
        self.remove(pod)
        self._pods[_identity(pod)] = pod
        self.kin[_kin(pod)] += 1
        self.limits = self.limits.plus(limits(pod))
        self.presumed_limits = self.presumed_limits.plus(presumed_limits(pod))

    def remove(self, pod: Pod) -> None:
        known = self._pods.pop(_identity(pod), None)
        if known is not None:
            self.kin -= Counter((_kin(known),))
            self.limits = self.limits.minus(limits(known))
            self.presumed_limits = self.presumed_limits.minus(presumed_limits(known))


def _kin(pod: Pod) -> Kin:
    return Kin(pod.metadata.namespace, frozenset(pod.metadata.labels.items()))


def _identity(pod: Pod) -> str:
    return pod.metadata.uid or f"{pod.metadata.namespace}/{pod.metadata.name}"
