"""The pods by what controllers look for: selectors pick from namespaces and labels, owners are known by their uid.

    namespace default     {app=web}            -> web-8vht4, web-nwd7y, ...     3,000 pods, but one set of labels
                          {app=db}             -> db-1
    controller 8f7c...                         -> web-8vht4, web-nwd7y, ...

A selector is held against each set of labels once, not against each pod: the pods of a controller are all alike.
"""

from collections.abc import Collection, Iterator, Mapping

from labkit.api.types import Pod, key
from labkit.client.informer import Informer

Labels = frozenset[tuple[str, str]]


class PodIndex:
    """Follows an informer; asked in the same moment, it shows what the informer's store shows."""

    def __init__(self, pods: Informer[Pod]) -> None:
        self._alike: dict[str, dict[Labels, dict[str, Pod]]] = {}  # namespace -> labels -> key -> pod
        self._controlled: dict[str, dict[str, Pod]] = {}  # uid of a controller -> key -> pod
        pods.on_change(self.changed)

    def alike(self, selector: Mapping[str, str], namespace: str) -> Iterator[tuple[Labels, Collection[Pod]]]:
        """Those that a selector of that namespace picks, by their labels; an empty selector picks nothing."""
        for labels, pods in self._alike.get(namespace, {}).items():
            if selector and selector.items() <= labels:
                yield labels, pods.values()

    def selected(self, selector: Mapping[str, str], namespace: str) -> list[Pod]:
        """The same in one list."""
        return [pod for _, pods in self.alike(selector, namespace) for pod in pods]

    def controlled(self, uid: str) -> Iterator[Pod]:
        """Those whose ownerReferences name this controller."""
        yield from self._controlled.get(uid, {}).values()

    def changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None:
            self._remove(old)
        if new is not None:
            self._alike.setdefault(new.metadata.namespace, {}).setdefault(_labels(new), {})[key(new)] = new
            if uid := controller_of(new):
                self._controlled.setdefault(uid, {})[key(new)] = new

    def _remove(self, pod: Pod) -> None:
        namespace, labels, uid = pod.metadata.namespace, _labels(pod), controller_of(pod)
        alike = self._alike.get(namespace, {})
        if pods := alike.get(labels):
            pods.pop(key(pod), None)
            if not pods:
                del alike[labels]
        if not alike:
            self._alike.pop(namespace, None)
        if owned := self._controlled.get(uid):
            owned.pop(key(pod), None)
            if not owned:
                del self._controlled[uid]


def controller_of(pod: Pod) -> str:
    """The uid of the pod's controller, "" without one."""
    return next((owner.uid for owner in pod.metadata.owner_references if owner.controller), "")


def _labels(pod: Pod) -> Labels:
    return frozenset(pod.metadata.labels.items())
