"""The node controller: notices that a node has fallen silent, and after a while has its pods made elsewhere.

    kubelet posts its status every 10 s
      |    |    |    x            (power cut)
                     |---- grace 40 s ----|  Ready becomes Unknown, event NodeNotReady; the pods are left alone
                     |------- eviction timeout 5 min - grace -------|  the node's pods are deleted, and replaced

Silence is measured by our own clock: a node is heard when its heartbeat differs from the last one we saw, so a node
whose clock is wrong is not dead. Only time in which the API server answered us counts: while it is away no kubelet can
post, and that is no reason to empty the cluster. Evictions are rationed (one node in 10 s after a burst of 10) and held
back while most nodes are away: then it is the network that is broken, and their pods still run.
Source: pkg/cloudprovider/nodecontroller of Kubernetes 0.18; holding back is of 1.4 (--unhealthy-zone-threshold).
"""

import asyncio
import time
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import NamedTuple

from labkit.api.errors import ApiError, Conflict, NotFound
from labkit.api.types import Condition, Node, Pod, copy
from labkit.client.events import EventRecorder
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.pod_cidrs import allocate
from labkit.components.kube_controller_manager.pods import is_active
from labkit.trace import Tracer

STOPPED = "Kubelet stopped posting node status."
NEVER = "Kubelet never posted node status."
MANY, MOST = 3, 55  # nodes, and percent of all, that are not ready: too many to be true


class Timing(NamedTuple):
    """Seconds; and how many nodes may be emptied per second, and at once. The defaults are the historic ones."""

    monitor_period: float = 5.0
    grace: float = 40.0
    startup_grace: float = 60.0
    eviction_timeout: float = 300.0
    deleting_pods_qps: float = 0.1
    deleting_pods_burst: int = 10


# -- the decision --------------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What to do about a node: write Ready=Unknown for this reason ("" for no), delete its pods."""

    unknown: str = ""
    evict: bool = False


def judge(node: Node, silent: float, unready: float, timing: Timing) -> Verdict:
    """Judge a node that has been silent, and not ready, for so many seconds."""
    ready = ready_condition(node)
    if ready is None:
        return Verdict(unknown=NEVER if silent > timing.startup_grace else "")
    if ready.status != "Unknown" and silent > timing.grace:
        return Verdict(unknown=STOPPED)
    if ready.status == "Unknown":
        return Verdict(evict=silent > max(timing.grace, timing.eviction_timeout - timing.grace))
    return Verdict(evict=ready.status == "False" and unready > timing.eviction_timeout)


def most_are_away(nodes: Iterable[Node]) -> bool:
    """Whether none of the nodes is ready, or three and more, and 55 % of all, are not."""
    said = [ready.status == "True" for ready in map(ready_condition, nodes) if ready is not None]
    away = said.count(False)
    return away > 0 and (away == len(said) or (away >= MANY and 100 * away >= MOST * len(said)))


def ready_condition(node: Node) -> Condition | None:
    return next((condition for condition in node.status.conditions if condition.type == "Ready"), None)


def with_unknown(node: Node, reason: str, now: str) -> Node:
    """The node with Ready=Unknown; its heartbeat stays the last one that the kubelet sent."""
    changed = copy(node)
    before = ready_condition(node)
    unknown = Condition(type="Ready", status="Unknown", reason=reason, last_transition_time=now)
    unknown.last_heartbeat_time = before.last_heartbeat_time if before else node.metadata.creation_timestamp
    others = [condition for condition in node.status.conditions if condition.type != "Ready"]
    changed.status.conditions = [*others, unknown]
    return changed


# -- what we have heard --------------------------------------------------------------------------------------------


class Heard:
    """How long a node has been silent and not ready, in seconds in which we could have heard it."""

    def __init__(self) -> None:
        self.silent = 0.0
        self.unready = 0.0
        self._heartbeat: str | None = None

    def listen(self, node: Node, passed: float) -> None:
        """`passed` seconds after the last time."""
        ready = ready_condition(node)
        heartbeat = ready.last_heartbeat_time if ready else None
        self.silent = 0.0 if heartbeat != self._heartbeat else self.silent + passed
        self.unready = self.unready + passed if ready is not None and ready.status == "False" else 0.0
        self._heartbeat = heartbeat


class Ration:
    """`qps` tokens a second, saved up to `burst`: how often something may be done."""

    def __init__(self, qps: float, burst: int) -> None:
        self._qps, self._burst, self._tokens = qps, burst, float(burst)

    def passes(self, seconds: float) -> None:
        self._tokens = min(self._burst, self._tokens + self._qps * seconds)

    def take(self) -> bool:
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


# -- the loop ------------------------------------------------------------------------------------------------------


class NodeController:
    """Looks at every node each `timing.monitor_period` seconds; `run()` works until it is cancelled."""

    def __init__(
        self, client: Client, timing: Timing | None = None, *, cluster: IPv4Network | None = None,
        trace: Tracer | None = None,
    ) -> None:  # fmt: skip
        """cluster: of which nodes get their pods' networks; None: they have them from somebody else."""
        self.client = client
        self.cluster = cluster
        self.timing = timing or Timing()
        self.trace = trace or Tracer("kube-controller-manager")
        self.events = EventRecorder(client, "controllermanager", trace=self.trace)
        self.ration = Ration(self.timing.deleting_pods_qps, self.timing.deleting_pods_burst)
        self._heard: dict[str, Heard] = {}
        self._holds = False  # evictions, as most nodes are away
        self._without: set[str] = set()  # nodes for which no network was left: told once

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run())
            group.create_task(self._monitor())

    async def _monitor(self) -> None:
        """A round that failed adds no silence: `passed` is never more than one period."""
        while True:
            try:
                await self.look(self.timing.monitor_period)
            except ApiError as exc:
                self.trace.log("cannot look at the nodes", level="warning", error=str(exc))
            await asyncio.sleep(self.timing.monitor_period)

    async def look(self, passed: float) -> None:
        """One round: look, decide, act for each node. `passed` seconds went by since the last round."""
        nodes = (await self.client.list(Node)).items
        self.ration.passes(passed)
        self._heard = {node.metadata.name: self._heard.get(node.metadata.name) or Heard() for node in nodes}
        self._hold(most_are_away(nodes))
        if self.cluster is not None:
            await self._give_networks(nodes, self.cluster)
        for node in nodes:
            heard = self._heard[node.metadata.name]
            heard.listen(node, passed)
            verdict = judge(node, heard.silent, heard.unready, self.timing)
            if verdict.unknown:
                await self._mark(node, verdict.unknown)
            elif verdict.evict and not self._holds:
                await self._evict(node)

    def _hold(self, holds: bool) -> None:
        """Begin or end to hold evictions back. At the end who is still away has its whole time again."""
        if holds == self._holds:
            return
        self._holds = holds
        if not holds:
            for heard in self._heard.values():
                heard.silent = heard.unready = 0.0
        self.trace.log("evictions held back: most nodes are away" if holds else "evictions go on", level="warning")

    async def _give_networks(self, nodes: Iterable[Node], cluster: IPv4Network) -> None:
        """spec.podCIDR for those that have none."""
        by_name = {node.metadata.name: node for node in nodes}
        for name, cidr in allocate(by_name.values(), cluster).items():
            if not cidr:
                if name not in self._without:
                    self._without.add(name)
                    text = f"no network of {cluster} is left for the pods of node {name}: give --cluster-cidr more room"
                    self.events.event(by_name[name], "CIDRNotAvailable", text)
                    self.trace.log(text, level="warning", node=name)
                continue
            self._without.discard(name)
            changed = copy(by_name[name])
            changed.spec.pod_cidr = cidr
            try:
                stored = await self.client.update(changed)
            except (Conflict, NotFound):  # it said something meanwhile, or is gone: next time
                continue
            self.trace.decision("podCIDR", stored, cause="it had none", function=allocate, cidr=cidr)

    async def _mark(self, node: Node, reason: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            await self.client.update_status(with_unknown(node, reason, now))
        except (Conflict, NotFound):  # the kubelet was just heard, or the node is gone: look again next time
            return
        self.trace.decision("NodeNotReady", node, cause=reason, function=judge)
        self.events.event(node, "NodeNotReady", f"Node {node.metadata.name} status is now: NodeNotReady")

    async def _evict(self, node: Node) -> None:
        """Delete what runs on the node. Its kubelet cannot confirm anything, hence without grace."""
        pods = (await self.client.list(Pod, field_selector=f"spec.nodeName={node.metadata.name}")).items
        victims: Iterable[Pod] = [pod for pod in pods if is_active(pod) or pod.metadata.deletion_timestamp]
        if not victims or not self.ration.take():
            return
        for pod in victims:
            meta = pod.metadata
            try:
                await self.client.delete(Pod, meta.name, meta.namespace, grace_period_seconds=0, uid=meta.uid)
            except (Conflict, NotFound):
                continue
            self.trace.decision("evicted", pod, cause=f"nodes/{node.metadata.name} is away", function=judge)
