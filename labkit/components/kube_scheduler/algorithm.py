"""The decision: which node gets this pod?

every node --predicates--> those that can run it --priorities--> points --> the best (a draw is drawn by lot)

  agent1   PodFitsPorts ok   PodFitsResources ok      LeastRequested 7 + Balanced 9 + ServiceSpreading 10 = 26  <-
  agent2   PodFitsPorts ok   PodFitsResources ok      LeastRequested 6 + Balanced 9 + ServiceSpreading  0 = 15
  agent3   PodFitsPorts no
"""

import heapq
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from labkit.api.types import Node, Pod
from labkit.components.kube_scheduler.predicates import PREDICATES, Predicate
from labkit.components.kube_scheduler.priorities import PRIORITIES, Priority
from labkit.components.kube_scheduler.view import View

NODES_NAMED = 8  # in a refusal, where the rest is counted, and in the line of a decision


class Algorithm(NamedTuple):
    """Which predicates and priorities count, by name; a priority with its weight."""

    predicates: Mapping[str, Predicate]
    priorities: Mapping[str, tuple[Priority, int]]


DEFAULT_PROVIDER = Algorithm(
    PREDICATES,
    {
        name: (PRIORITIES[name], 1)
        for name in ("LeastRequestedPriority", "BalancedResourceAllocation", "ServiceSpreadingPriority")
    },
)


class Placement(NamedTuple):
    """The chosen node's name, and the points of every node that could have been chosen."""

    node: str
    points: dict[str, int]

    def told(self) -> dict[str, int]:
        """The points of the best nodes, for a line in the log: of a hundred nodes not all."""
        if len(self.points) <= NODES_NAMED:
            return self.points
        return dict(heapq.nlargest(NODES_NAMED, self.points.items(), key=lambda item: (item[1], item[0] == self.node)))


class DoesNotFit(Exception):
    """No node can run the pod; `reasons` maps each node's name to the predicate that said no."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(_refusal(sorted(reasons.items())) if reasons else "no nodes available to schedule pods")
        self.reasons = dict(reasons)


def _refusal(reasons: Sequence[tuple[str, str]]) -> str:
    """0.18's words, in the order of the nodes' names so that the same refusal stays one event."""
    named = ", ".join(f"Node {name}: {reason}" for name, reason in reasons[:NODES_NAMED])
    rest = Counter(reason for _, reason in reasons[NODES_NAMED:])
    more = ", ".join(f"{count} {reason}" for reason, count in rest.most_common())
    return f"failed to find fit for pod, {named}" + (f" and {rest.total()} more ({more})" if more else "")


def schedule(
    pod: Pod,
    nodes: Sequence[Node],
    view: View,
    algorithm: Algorithm = DEFAULT_PROVIDER,
    *,
    rng: random.Random | None = None,
) -> Placement:
    """Choose one of these nodes, which take new pods, or raise DoesNotFit."""
    reasons = {node.metadata.name: _first_no(pod, node, view, algorithm.predicates) for node in nodes}
    fitting = [node for node in nodes if reasons[node.metadata.name] is None]
    if not fitting:
        raise DoesNotFit({name: reason for name, reason in reasons.items() if reason})

    points = dict.fromkeys((node.metadata.name for node in fitting), 0)
    for prioritize, weight in algorithm.priorities.values():
        for name, score in prioritize(pod, fitting, view).items():
            points[name] += weight * score

    most = max(points.values())
    best = [name for name, total in points.items() if total == most]
    return Placement((rng or random).choice(best), points)


def _first_no(pod: Pod, node: Node, view: View, predicates: Mapping[str, Predicate]) -> str | None:
    """The name of the first predicate that refuses the node; None when none does."""
    return next((name for name, fits in predicates.items() if not fits(pod, node, view)), None)
