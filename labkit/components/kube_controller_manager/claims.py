"""Of several ReplicationControllers that select a pod, the oldest looks after it; of the same age the first by name.

    web    app=web              2015-06-01   pods with app=web are its own, whoever made them
    shop   app=web,tier=shop    2015-06-02   would make pods that belong to web: makes none, and is told so
    all    env=prod             2015-06-03   selects some of web's pods besides its own: counts its own, and is told so

Without this rule two of them would fight for ever: what one makes the other deletes.
Source: the order is that of Kubernetes 1.0 (overlappingControllers), which logged a line and let them fight.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple

from labkit.api.types import Pod, ReplicationController
from labkit.components.kube_controller_manager.pod_index import PodIndex


class Overlap(NamedTuple):
    """A controller and an older one that selects pods of it, or whose pods it selects."""

    older: ReplicationController
    stands_back: bool
    text: str


def keeper(
    labels: Set[tuple[str, str]], namespace: str, controllers: Iterable[ReplicationController]
) -> ReplicationController | None:
    """Who looks after pods with these labels; None when nobody selects them."""
    return min((rc for rc in controllers if _picks(rc, labels, namespace)), key=_age, default=None)


def _picks(rc: ReplicationController, labels: Set[tuple[str, str]], namespace: str) -> bool:
    selector = rc.spec.selector
    return bool(selector) and rc.metadata.namespace == namespace and selector.items() <= labels


def _age(rc: ReplicationController) -> tuple[str, str]:
    return rc.metadata.creation_timestamp or "", rc.metadata.name


class Claims:
    """Which pods are whose; `controllers` (by key) and `index` are looked at anew each time."""

    def __init__(self, controllers: Mapping[str, ReplicationController], index: PodIndex) -> None:
        self._controllers = controllers
        self._index = index

    def keeper_of(self, pod: Pod) -> ReplicationController | None:
        meta = pod.metadata
        return keeper(meta.labels.items(), meta.namespace, self._controllers.values())

    def pods_of(self, rc: ReplicationController) -> list[Pod]:
        """Those that `rc` selects and nobody older does."""
        return [pod for older, pods in self._selected(rc) if older is None for pod in pods]

    def overlap(self, rc: ReplicationController) -> Overlap | None:
        """With whom `rc` overlaps, and whether it has to make no pods because they would not be its own."""
        template = rc.spec.template
        labels = template.metadata.labels if template else {}
        if older := self._older(rc, labels.items()):
            text = f"{_name(older)}, which is older, selects the pods that this one would make: it makes none"
            return Overlap(older, True, f"{text}. Give each controller labels of its own")
        for other, _ in self._selected(rc):
            if other is not None:
                text = f"the selector matches pods of {_name(other)}, which is older and keeps them"
                return Overlap(other, False, f"{text}. Give each controller labels of its own")
        return None

    def _selected(self, rc: ReplicationController) -> Iterator[tuple[ReplicationController | None, Iterable[Pod]]]:
        """What `rc` selects, in groups, and the older one to whom each belongs."""
        for labels, pods in self._index.alike(rc.spec.selector, rc.metadata.namespace):
            yield self._older(rc, labels), pods

    def _older(self, rc: ReplicationController, labels: Set[tuple[str, str]]) -> ReplicationController | None:
        found = keeper(labels, rc.metadata.namespace, self._controllers.values())
        return found if found is not None and found.metadata.uid != rc.metadata.uid else None


def _name(rc: ReplicationController) -> str:
    return f"replicationcontrollers/{rc.metadata.name}"
