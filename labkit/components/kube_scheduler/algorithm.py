"""The decision: which node gets this pod?

every node --predicates--> those that can run it --priorities--> points --> the best (a draw is drawn by lot)

  agent1   PodFitsPorts ok   PodFitsResources ok      LeastRequested 7 + Balanced 9 + ServiceSpreading 10 = 26  <-
  agent2   PodFitsPorts ok   PodFitsResources ok      LeastRequested 6 + Balanced 9 + ServiceSpreading  0 = 15
  agent3   PodFitsPorts no
"""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from labkit.api.types import Node, Pod, Service
from labkit.components.kube_scheduler.node_info import NodeInfo
from labkit.components.kube_scheduler.predicates import PREDICATES, Predicate
from labkit.components.kube_scheduler.priorities import PRIORITIES, Priority


class Placement(NamedTuple):
    """The chosen node's name, and the points of every node that could have been chosen."""

    node: str
    points: dict[str, int]


class DoesNotFit(Exception):
    """No node can run the pod; `reasons` maps each node's name to the predicate that said no."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        # One reason of one node, as in 1.0: naming all of them made one event per pod into many.
        reason = next(iter(reasons.values()), "")
        text = f"Failed for reason {reason} and possibly others" if reason else "no nodes available to schedule pods"
        super().__init__(text)
        self.reasons = dict(reasons)


def schedule(
    pod: Pod,
    nodes: Sequence[Node],
    pods: Mapping[str, NodeInfo],
    services: Sequence[Service],
    *,
    rng: random.Random | None = None,
    predicates: Mapping[str, Predicate] = PREDICATES,
    priorities: Mapping[str, tuple[Priority, int]] = PRIORITIES,
) -> Placement:
    """Choose a node for a pod, or raise DoesNotFit.

    `nodes` are those that take new pods, `pods` maps a node's name to what runs there, `services` are all services.
    """
    reasons = {node.metadata.name: _first_no(pod, node, pods, predicates) for node in nodes}
    fitting = [node for node in nodes if reasons[node.metadata.name] is None]
    if not fitting:
        raise DoesNotFit({name: reason for name, reason in reasons.items() if reason})

    points = dict.fromkeys((node.metadata.name for node in fitting), 0)
    for prioritize, weight in priorities.values():
        for name, score in prioritize(pod, fitting, pods, services).items():
            points[name] += weight * score

    most = max(points.values())
    best = [name for name, total in points.items() if total == most]
    return Placement((rng or random).choice(best), points)


def _first_no(pod: Pod, node: Node, pods: Mapping[str, NodeInfo], predicates: Mapping[str, Predicate]) -> str | None:
    """The name of the first predicate that refuses the node; None when none does."""
    on_node = pods.get(node.metadata.name) or NodeInfo()
    return next((name for name, fits in predicates.items() if not fits(pod, node, on_node)), None)
