"""The priorities: of the nodes that can run this pod, how good is each? From 0 to 10.

Each is a function `(pod, nodes, view) -> {node name: score}`, registered under the name that Kubernetes gave it;
`nodes` are those that passed the predicates, `view.on(node)` is what runs on one. The sum of the scores, each times its
weight, decides. Source: plugin/pkg/scheduler/algorithm/priorities of Kubernetes 0.18 and 1.0.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from labkit.api.types import Node, Pod
from labkit.components.kube_scheduler.node_info import capacity, presumed_limits
from labkit.components.kube_scheduler.view import View

Priority = Callable[[Pod, Sequence[Node], View], dict[str, int]]

HIGHEST = 10


def least_requested(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
    """The emptier the better: the mean of the free tenths of CPU and of memory, once the pod runs there."""
    scores, wanted = {}, presumed_limits(pod)
    for node in nodes:
        asked, there = view.on(node).presumed_limits.plus(wanted), capacity(node)
        cpu = _free_tenths(asked.milli_cpu, there.milli_cpu)
        memory = _free_tenths(asked.memory, there.memory)
        scores[node.metadata.name] = (cpu + memory) // 2
    return scores


def balanced_resource_allocation(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
    """The closer CPU and memory fill up together the better: ten minus ten times the difference of the fractions."""
    scores, wanted = {}, presumed_limits(pod)
    for node in nodes:
        asked, there = view.on(node).presumed_limits.plus(wanted), capacity(node)
        cpu = _fraction(asked.milli_cpu, there.milli_cpu)
        memory = _fraction(asked.memory, there.memory)
        full = cpu >= 1 or memory >= 1
        scores[node.metadata.name] = 0 if full else int(HIGHEST - abs(cpu - memory) * HIGHEST)
    return scores


def service_spreading(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
    """The fewer pods of the same service a node has the better: 10 for none, 0 for the node with the most of them.

    Of several services that select the pod the first counts; a pod of no service is at home everywhere.
    """
    return _spread(nodes, view.count(*view.services_of(pod)[:1]))


def selector_spread(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
    """The same for pods of any service or replication controller that selects this one, as Kubernetes 1.1 spreads."""
    return _spread(nodes, view.count(*view.services_of(pod), *view.controllers_of(pod)))


def _spread(nodes: Sequence[Node], counts: Counter[str]) -> dict[str, int]:
    most = max(counts.values(), default=0)
    return {
        node.metadata.name: HIGHEST * (most - counts[node.metadata.name]) // most if most else HIGHEST for node in nodes
    }


def equal_priority(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
    """All alike."""
    return {node.metadata.name: 1 for node in nodes}


PRIORITIES: dict[str, Priority] = {
    "LeastRequestedPriority": least_requested,
    "BalancedResourceAllocation": balanced_resource_allocation,
    "ServiceSpreadingPriority": service_spreading,
    "SelectorSpreadPriority": selector_spread,
    "EqualPriority": equal_priority,
}


def _free_tenths(asked: int, there: int) -> int:
    return 0 if asked > there or not there else (there - asked) * HIGHEST // there


def _fraction(asked: int, there: int) -> float:
    return asked / there if there else 1.0
