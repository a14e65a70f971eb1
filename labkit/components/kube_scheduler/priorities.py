"""The priorities: of the nodes that can run this pod, how good is each? From 0 to 10.

Each is a function `(pod, nodes, pods, services) -> {node name: score}`, registered with its weight under the name
that Kubernetes gave it; `pods` maps a node's name to what runs there. Source: plugin/pkg/scheduler/algorithm/priorities
of Kubernetes 0.18 and 1.0.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from labkit.api.types import Node, Pod, Service
from labkit.components.kube_scheduler.node_info import NodeInfo, Resources, capacity, presumed_limits

Priority = Callable[[Pod, Sequence[Node], Mapping[str, NodeInfo], Sequence[Service]], dict[str, int]]

HIGHEST = 10
_EMPTY = NodeInfo()


def least_requested(
    pod: Pod, nodes: Sequence[Node], pods: Mapping[str, NodeInfo], services: Sequence[Service]
) -> dict[str, int]:
    """The emptier the better: the mean of the free tenths of CPU and of memory, once the pod runs there."""
    scores = {}
    for node in nodes:
        asked, there = _asked_on(node, pod, pods), capacity(node)
        cpu = _free_tenths(asked.milli_cpu, there.milli_cpu)
        memory = _free_tenths(asked.memory, there.memory)
        scores[node.metadata.name] = (cpu + memory) // 2
    return scores


def balanced_resource_allocation(
    pod: Pod, nodes: Sequence[Node], pods: Mapping[str, NodeInfo], services: Sequence[Service]
) -> dict[str, int]:
    """The closer CPU and memory fill up together the better: ten minus ten times the difference of the fractions."""
    scores = {}
    for node in nodes:
        asked, there = _asked_on(node, pod, pods), capacity(node)
        cpu = _fraction(asked.milli_cpu, there.milli_cpu)
        memory = _fraction(asked.memory, there.memory)
        full = cpu >= 1 or memory >= 1
        scores[node.metadata.name] = 0 if full else int(HIGHEST - abs(cpu - memory) * HIGHEST)
    return scores


def service_spreading(
    pod: Pod, nodes: Sequence[Node], pods: Mapping[str, NodeInfo], services: Sequence[Service]
) -> dict[str, int]:
    """The fewer pods of the same service a node has the better: 10 for none, 0 for the node with the most of them.

    Of several services that select the pod the first counts; a pod of no service is at home everywhere.
    """
    service = next((service for service in services if _selects(service, pod)), None)
    counts: Counter[str] = Counter()
    if service is not None:
        for name, on_node in pods.items():
            counts[name] = sum(_selects(service, other) for other in on_node.pods)
    most = max(counts.values(), default=0)
    return {
        node.metadata.name: HIGHEST * (most - counts[node.metadata.name]) // most if most else HIGHEST for node in nodes
    }


PRIORITIES: dict[str, tuple[Priority, int]] = {
    "LeastRequestedPriority": (least_requested, 1),
    "BalancedResourceAllocation": (balanced_resource_allocation, 1),
    "ServiceSpreadingPriority": (service_spreading, 1),
}


def _asked_on(node: Node, pod: Pod, pods: Mapping[str, NodeInfo]) -> Resources:
    """What the pods of a node ask for once this one is there too."""
    return pods.get(node.metadata.name, _EMPTY).presumed_limits.plus(presumed_limits(pod))


def _free_tenths(asked: int, there: int) -> int:
    return 0 if asked > there or not there else (there - asked) * HIGHEST // there


def _fraction(asked: int, there: int) -> float:
    return asked / there if there else 1.0


def _selects(service: Service, pod: Pod) -> bool:
    selector = service.spec.selector
    return (
        bool(selector)
        and service.metadata.namespace == pod.metadata.namespace
        and selector.items() <= pod.metadata.labels.items()
    )
