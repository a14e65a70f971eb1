"""What a controller has done and cannot see yet.

A controller looks at its informer's store, which runs a few milliseconds behind the server, or seconds on a bad day.
A decision made on that view alone would create the same pods twice. So each controller remembers its own writes and
lays them over the view until the view contains them:

    what the store shows  +  created, at a revision that the store has not reached  -  deleted  =  what there is

Kubernetes counted ("I expect three more creations") and waited until they were seen; laying the writes over the view
needs no waiting. Source of the problem: ControllerExpectations, pkg/controller of Kubernetes 0.18.
"""

import time
from collections.abc import Iterable

from labkit.api.types import Pod
from labkit.client.informer import Informer

# A write that is not seen after this long is forgotten, as in Kubernetes 1.0: the server lost it (a restored backup).
FORGET_SECONDS = 300.0


class Expectations:
    """The own writes of one controller, per key of the object that it works on."""

    def __init__(self, pods: Informer[Pod]) -> None:
        self._pods = pods
        self._created: dict[str, dict[str, tuple[Pod, float]]] = {}  # key -> uid -> pod, when
        self._deleted: dict[str, dict[str, float]] = {}  # key -> uid -> when

    def created(self, key: str, pod: Pod) -> None:
        self._created.setdefault(key, {})[pod.metadata.uid] = (pod, time.monotonic())

    def deleted(self, key: str, pod: Pod) -> None:
        self._deleted.setdefault(key, {})[pod.metadata.uid] = time.monotonic()

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._created.pop(key, None)
        self._deleted.pop(key, None)

    def over(self, key: str, seen: Iterable[Pod]) -> list[Pod]:
        """The pods of `seen` (from the store) with the own writes laid over them."""
        oldest = time.monotonic() - FORGET_SECONDS
        created = {
            uid: (pod, at)
            for uid, (pod, at) in self._created.get(key, {}).items()
            if at > oldest and not self._pods.has_seen(pod.metadata.resource_version)
        }
        pods = {uid: pod for uid, (pod, _) in created.items()} | {pod.metadata.uid: pod for pod in seen}
        deleted = {uid: at for uid, at in self._deleted.get(key, {}).items() if at > oldest and uid in pods}
        self.forget(key)
        if created:
            self._created[key] = created
        if deleted:
            self._deleted[key] = deleted
        return [pod for uid, pod in pods.items() if uid not in deleted]
