"""Predicates and priorities that are made to measure: a policy file names them and says which labels they look at.

    {"name": "ZonesOnly", "argument": {"labelsPresence": {"labels": ["zone"], "presence": true}}}

Source: predicates.go, service_spreading.go and node_label.go of Kubernetes 0.18's scheduler.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from labkit.api.types import Node, Pod
from labkit.components.kube_scheduler.predicates import Predicate
from labkit.components.kube_scheduler.priorities import HIGHEST, Priority
from labkit.components.kube_scheduler.view import View, selects


def labels_presence(labels: Collection[str], presence: bool) -> Predicate:
    """The node has all of these labels, whatever their values; with presence=False, none of them."""

    def fits(pod: Pod, node: Node, view: View) -> bool:
        return all((label in node.metadata.labels) is presence for label in labels)

    return fits


def service_affinity(labels: Collection[str]) -> Predicate:
    """All pods of a service run on nodes that agree in these labels: one zone, say.

    What the pod's nodeSelector says of them counts first; the rest is taken from the node of the service's first pod.
    """

    def fits(pod: Pod, node: Node, view: View) -> bool:
        wanted = {label: value for label, value in pod.spec.node_selector.items() if label in labels}
        return {**_of_the_first(pod, labels, view), **wanted}.items() <= node.metadata.labels.items()

    return fits


def _of_the_first(pod: Pod, labels: Collection[str], view: View) -> dict[str, str]:
    """These labels of the node on which the first pod of the pod's first service runs."""
    owners = view.services_of(pod)[:1]
    there = [(other.metadata.name, name) for name, other in view.placed() for owner in owners if selects(owner, other)]
    node = view.nodes.get(min(there)[1]) if there else None
    return {label: node.metadata.labels[label] for label in labels if label in node.metadata.labels} if node else {}


def service_anti_affinity(label: str) -> Priority:
    """The fewer pods of the pod's service run on nodes with the same value of this label the better: spread over zones.

    A node without the label scores nothing.
    """

    def prioritize(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
        counts: Counter[str | None] = Counter()
        for name, number in view.count(*view.services_of(pod)[:1]).items():
            if name in view.nodes:
                counts[view.nodes[name].metadata.labels.get(label)] += number
        return {node.metadata.name: _share(node.metadata.labels.get(label), counts) for node in nodes}

    return prioritize


def _share(zone: str | None, counts: Counter[str | None]) -> int:
    total = counts.total()
    return 0 if zone is None else HIGHEST * (total - counts[zone]) // total if total else HIGHEST


def label_preference(label: str, presence: bool) -> Priority:
    """Nodes that have the label, whatever its value; with presence=False, those that have it not."""

    def prioritize(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
        return {node.metadata.name: HIGHEST * ((label in node.metadata.labels) is presence) for node in nodes}

    return prioritize
