"""kube-scheduler finds a node for every pod that has none.

    informers: pods, nodes, services, replication controllers
        |  a pod without a node                      a node or a pod on it changed: try those that did not fit again
        v                                              |
      queue --> sync(key): look at the store  <--------+
                           decide: schedule()  -->  assume the pod is there  -->  act: POST binding

A binding takes a moment to come back through the watch. Until then the pod is *assumed* on its node, so that the next
decision counts it already and two pods never get the last free place.

Kubernetes watched the pods twice, those without a node (spec.nodeName=) and those with one; here one watch of all pods
tells both, so that a pod is never in neither view or in both.

Several schedulers can run beside each other: a pod says in spec.schedulerName whose it is (0.18 had one scheduler; the
field is of later times). Each counts what the others have placed.
"""

import asyncio
import random

from msgspec.structs import replace

from labkit.api.errors import ApiError, Conflict, NotFound
from labkit.api.types import Node, Pod, ReplicationController, Service, key
from labkit.client.controller import Controller
from labkit.client.events import EventRecorder
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.components.kube_scheduler.algorithm import DEFAULT_PROVIDER, Algorithm, DoesNotFit, Placement, schedule
from labkit.components.kube_scheduler.node_info import NodeInfo
from labkit.components.kube_scheduler.plugins import PluginTrouble
from labkit.components.kube_scheduler.view import View
from labkit.trace import Tracer

BINDINGS_AT_ONCE = 16
DEFAULT_NAME = "default-scheduler"  # whose a pod is that names none


class Scheduler:
    """Watches what a decision depends on; `run()` works until it is cancelled.

    `algorithm` says which predicates and priorities count, `name` whose pods these are, `rng` decides between equal
    nodes.
    """

    def __init__(
        self,
        client: Client,
        algorithm: Algorithm = DEFAULT_PROVIDER,
        *,
        name: str = DEFAULT_NAME,
        rng: random.Random | None = None,
        trace: Tracer | None = None,
    ) -> None:
        self.client = client
        self.algorithm = algorithm
        self.name = name
        self.trace = trace or Tracer("kube-scheduler")
        self.events = EventRecorder(client, "scheduler" if name == DEFAULT_NAME else name, trace=self.trace)
        self.rng = rng or random.Random()
        self.pods = Informer(client, Pod, trace=self.trace)
        self.nodes = Informer(client, Node, trace=self.trace)
        self.services = Informer(client, Service, trace=self.trace)
        self.controllers = Informer(client, ReplicationController, trace=self.trace)
        self.informers = (self.pods, self.nodes, self.services, self.controllers)
        self.queue = WorkQueue(first=1.0, most=60.0)
        self.waiting: set[str] = set()  # keys of pods that fitted nowhere
        self.on_nodes: dict[str, NodeInfo] = {}  # what runs on each node, assumed pods included
        self.assumed: dict[str, Pod] = {}  # uid -> the pod as we bound it, until the watch shows it
        self._open: list[Node] | None = None  # the nodes that take new pods
        self.pods.on_change(self._pod_changed)
        self.nodes.on_change(self._node_changed)

    async def run(self) -> None:
        expected = (ApiError, DoesNotFit, PluginTrouble)
        controller = Controller(
            "scheduler", self.queue, self.sync, workers=BINDINGS_AT_ONCE, expected=expected, trace=self.trace
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run())
            for informer in self.informers:
                group.create_task(informer.run())
            await asyncio.gather(*(informer.synced() for informer in self.informers))
            group.create_task(controller.run())

    def trouble(self) -> str:
        """What /healthz complains of: nothing once the first lists have been read."""
        missing = [informer.kind.KIND for informer in self.informers if not informer.is_synced]
        return f"waits for kube-apiserver: not listed yet: {', '.join(missing)}" if missing else ""

    async def sync(self, key: str) -> None:
        """Find a node for one pod. Between the decision and `_assume` nothing is awaited: no other can interfere."""
        pod = self.pods.store.get(key)
        if pod is None or not self._is_mine(pod) or pod.metadata.uid in self.assumed:
            self.waiting.discard(key)
            return
        try:
            placement = schedule(pod, self._nodes(), self._view(), self.algorithm, rng=self.rng)
        except (DoesNotFit, PluginTrouble) as trouble:
            self._wait(key, pod, trouble)
            raise
        self.waiting.discard(key)
        self._assume(pod, placement.node)
        await self._bind(key, pod, placement)

    async def _bind(self, key: str, pod: Pod, placement: Placement) -> None:
        self.trace.decision(
            "assigned", pod, cause=self.queue.cause(key), function=schedule, node=placement.node,
            points=placement.told(),
        )  # fmt: skip
        try:
            await self.client.bind(pod, placement.node)
        except (Conflict, NotFound) as exc:  # somebody else bound it, or it is gone: nothing is left to do
            self._forget(pod)
            self.events.event(pod, "failedScheduling", f"Binding rejected: {exc}")
        except BaseException:
            self._forget(pod)
            raise
        else:
            self.events.event(pod, "scheduled", f"Successfully assigned {pod.metadata.name} to {placement.node}")

    def _wait(self, key: str, pod: Pod, trouble: DoesNotFit | PluginTrouble) -> None:
        """Tell why; the loop tries again after 1 to 60 s, `_retry_waiting` as soon as a node has changed."""
        self.waiting.add(key)
        reasons = trouble.reasons if isinstance(trouble, DoesNotFit) else str(trouble)
        self.trace.decision(
            "failedScheduling", pod, cause=self.queue.cause(key), function=schedule, reasons=reasons,
        )  # fmt: skip
        self.events.event(pod, "failedScheduling", str(trouble))

    def _nodes(self) -> list[Node]:
        """The nodes that take new pods: ready, and not closed by an administrator; found anew when a node changed."""
        if self._open is None:
            self._open = [node for node in self.nodes.store.values() if _takes_pods(node)]
        return self._open

    def _view(self) -> View:
        return View(
            self.nodes.store, self.on_nodes, list(self.services.store.values()), list(self.controllers.store.values())
        )

    def _is_mine(self, pod: Pod) -> bool:
        return _wants_node(pod) and (pod.spec.scheduler_name or DEFAULT_NAME) == self.name

    # -- what runs where -------------------------------------------------------------------------------------------

    def _assume(self, pod: Pod, node_name: str) -> None:
        placed = replace(pod, spec=replace(pod.spec, node_name=node_name))  # shares the rest, which nobody changes
        self.assumed[pod.metadata.uid] = placed
        self._info(node_name).add(placed)

    def _forget(self, pod: Pod) -> None:
        """Undo an assumption that did not come true."""
        placed = self.assumed.pop(pod.metadata.uid, None)
        if placed is not None:
            self._info(placed.spec.node_name).remove(placed)

    def _info(self, node_name: str) -> NodeInfo:
        return self.on_nodes.setdefault(node_name, NodeInfo())

    # -- what the informers tell -----------------------------------------------------------------------------------

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None or new.spec.node_name:
            pod = new or old
            assert pod is not None
            self._forget(pod)
        if old is not None and old.spec.node_name:
            self._info(old.spec.node_name).remove(old)
        if new is not None and new.spec.node_name and not _is_over(new):
            self._info(new.spec.node_name).add(new)
        if new is not None and self._is_mine(new):
            self.queue.add(key(new), cause="pod added" if old is None else "pod changed")
        elif old is not None and old.spec.node_name and (new is None or _is_over(new)):
            self._retry_waiting(f"pod {key(old)} made room on {old.spec.node_name}")

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        self._open = None
        if new is not None and (old is None or _scheduling_facts(old) != _scheduling_facts(new)):
            self._retry_waiting(f"node {key(new)} changed")

    def _retry_waiting(self, cause: str) -> None:
        for pod_key in self.waiting:
            self.queue.add(pod_key, cause=cause)


def _is_over(pod: Pod) -> bool:
    """It ran and never will again: its place is free."""
    return pod.status.phase in ("Succeeded", "Failed")


def _wants_node(pod: Pod) -> bool:
    return not pod.spec.node_name and not _is_over(pod) and pod.metadata.deletion_timestamp is None


def _takes_pods(node: Node) -> bool:
    true = {condition.type for condition in node.status.conditions if condition.status == "True"}
    return "Ready" in true and "OutOfDisk" not in true and not node.spec.unschedulable


def _scheduling_facts(node: Node) -> tuple[object, ...]:
    """What of a node the decision depends on; a heartbeat changes none of it."""
    return (_takes_pods(node), node.status.capacity, node.metadata.labels)
