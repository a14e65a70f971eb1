"""What a predicate or a priority is shown: the whole cluster as the scheduler knows it at the moment of a decision."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from labkit.api.types import Node, Pod, ReplicationController, Service
from labkit.components.kube_scheduler.node_info import Kin, NodeInfo

_EMPTY = NodeInfo()


@dataclass(frozen=True)
class View:
    """Belongs to everybody: look, do not touch.

    `nodes` are all nodes by name, also those that take no new pods; `on_nodes` maps a node's name to what runs there,
    pods included whose binding is under way.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    on_nodes: Mapping[str, NodeInfo] = field(default_factory=dict)
    services: Sequence[Service] = ()
    controllers: Sequence[ReplicationController] = ()

    def on(self, node: Node) -> NodeInfo:
        """What runs on that node."""
        return self.on_nodes.get(node.metadata.name, _EMPTY)

    def placed(self) -> Iterator[tuple[str, Pod]]:
        """Every pod that has a node, with the node's name."""
        return ((name, pod) for name, info in self.on_nodes.items() for pod in info.pods)

    def count(self, *owners: Service | ReplicationController) -> Counter[str]:
        """How many pods that one of them selects each node has."""
        counts: Counter[str] = Counter()
        if not owners:
            return counts
        is_theirs: dict[Kin, bool] = {}
        for name, info in self.on_nodes.items():
            for kin, number in info.kin.items():
                if kin not in is_theirs:
                    is_theirs[kin] = any(_selects(owner, *kin) for owner in owners)
                if is_theirs[kin]:
                    counts[name] += number
        return counts

    def services_of(self, pod: Pod) -> list[Service]:
        """The services that select the pod."""
        return [service for service in self.services if selects(service, pod)]

    def controllers_of(self, pod: Pod) -> list[ReplicationController]:
        """The replication controllers that select the pod."""
        return [controller for controller in self.controllers if selects(controller, pod)]


def selects(owner: Service | ReplicationController, pod: Pod) -> bool:
    """An empty selector selects nothing; nothing is selected across namespaces."""
    return _selects(owner, pod.metadata.namespace, pod.metadata.labels.items())


def _selects(owner: Service | ReplicationController, namespace: str, labels: Set[tuple[str, str]]) -> bool:
    selector = owner.spec.selector
    return bool(selector) and owner.metadata.namespace == namespace and selector.items() <= labels
