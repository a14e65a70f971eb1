"""What a predicate or a priority is shown: the whole cluster as the scheduler knows it at the moment of a decision."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from labkit.api.types import Node, Pod, ReplicationController, Service
from labkit.components.kube_scheduler.node_info import NodeInfo

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

    def services_of(self, pod: Pod) -> list[Service]:
        """The services that select the pod."""
        return [service for service in self.services if selects(service, pod)]

    def controllers_of(self, pod: Pod) -> list[ReplicationController]:
        """The replication controllers that select the pod."""
        return [controller for controller in self.controllers if selects(controller, pod)]


def selects(owner: Service | ReplicationController, pod: Pod) -> bool:
    """An empty selector selects nothing; nothing is selected across namespaces."""
    selector = owner.spec.selector
    return (
        bool(selector)
        and owner.metadata.namespace == pod.metadata.namespace
        and selector.items() <= pod.metadata.labels.items()
    )
