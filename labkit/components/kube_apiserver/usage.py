"""What nodes and pods use: GET /apis/metrics.k8s.io/v1beta1/nodes and pods, for `kubectl top`.

    all kubelets at once, 2 s for each:  GET https://NODE:10250/stats/summary
    -> kept for 3 s -> NodeMetrics, PodMetrics

A node that does not answer has no row, and neither have its pods; nobody waits longer for it. A kubelet is believed
about its own node and the pods bound to it, and about nothing else. In the original this is metrics-server, a pod
(before it, heapster); the figures and names are its.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from labkit.api.errors import ApiError
from labkit.api.kinds import KINDS
from labkit.api.summary import ContainerStats, Cpu, Memory, NodeStats, PodStats, Summary
from labkit.api.types import ContainerMetrics, Node, NodeMetrics, ObjectMeta, Pod, PodMetrics
from labkit.components.kube_apiserver.kubelets import Kubelets
from labkit.storage.cache import Cache
from labkit.storage.selection import Selection
from labkit.trace import Tracer

KEPT_SECONDS = 3.0


class Usage:
    """Asks the kubelets, when somebody asks it."""

    def __init__(self, kubelets: Kubelets, cache: Cache, trace: Tracer) -> None:
        self._kubelets = kubelets
        self._nodes = cache.shelf(KINDS["nodes"].storage_prefix)
        self._pods = cache.shelf(KINDS["pods"].storage_prefix)
        self._trace = trace
        self._gathering = asyncio.Lock()
        self._found: dict[str, Summary] = {}
        self._at = float("-inf")
        self._silent: set[str] = set()  # nodes that did not answer the last time

    async def nodes(self, selection: Selection) -> Sequence[NodeMetrics]:
        found = await self._summaries()
        wanted = [entry.decode() for entry in selection.of(self._nodes.within(""))]
        metrics = (node_metrics(node, found[name].node) for node in wanted if (name := node.metadata.name) in found)
        return [one for one in metrics if one is not None]

    async def pods(self, selection: Selection) -> Sequence[PodMetrics]:
        found = await self._summaries()
        by_uid = {(name, pod.pod_ref.uid): pod for name, summary in found.items() for pod in summary.pods}
        wanted = [entry.decode() for entry in selection.of(self._pods.within(selection.namespace))]
        pairs = ((pod, by_uid.get((pod.spec.node_name, pod.metadata.uid))) for pod in wanted)
        return [one for pod, stats in pairs if stats and (one := pod_metrics(pod, stats)) is not None]

    async def _summaries(self) -> dict[str, Summary]:
        """Node -> what its kubelet said in the last 3 s."""
        async with self._gathering:
            now = asyncio.get_running_loop().time()
            if now - self._at > KEPT_SECONDS:
                self._found = await self._gather([entry.decode() for entry in self._nodes.within("")])
                self._at = asyncio.get_running_loop().time()
            return self._found

    async def _gather(self, nodes: Sequence[Node]) -> dict[str, Summary]:
        answers = await asyncio.gather(*(self._ask(node) for node in nodes))
        found = {node.metadata.name: answer for node, answer in zip(nodes, answers, strict=True) if answer is not None}
        self._silent = {node.metadata.name for node in nodes} - set(found)
        return found

    async def _ask(self, node: Node) -> Summary | None:
        """None when the kubelet does not answer; said once for as long as that lasts."""
        try:
            return msgspec.json.decode(await self._kubelets.summary(node), type=Summary)
        except (ApiError, msgspec.DecodeError) as error:
            if node.metadata.name not in self._silent:
                self._trace.log(f"no usage figures of node {node.metadata.name}: {error}", level="warning")
            return None


def node_metrics(node: Node, stats: NodeStats) -> NodeMetrics | None:
    """None while the kubelet has looked only once."""
    if stats.cpu is None or stats.memory is None or (usage := _usage(stats.cpu, stats.memory)) is None:
        return None
    return NodeMetrics(
        metadata=ObjectMeta(
            name=node.metadata.name, creation_timestamp=stats.cpu.time, labels=dict(node.metadata.labels)
        ),
        timestamp=stats.cpu.time,
        window=_window(stats.cpu),
        usage=usage,
    )


def pod_metrics(pod: Pod, stats: PodStats) -> PodMetrics | None:
    """None when one of its running containers has no figures yet, or none runs: a part would look like the whole."""
    containers = [(one, _container_usage(one)) for one in stats.containers]
    if not containers or any(usage is None for _, usage in containers):
        return None
    shortest = min((one.cpu for one, _ in containers if one.cpu), key=lambda cpu: cpu.window_seconds or 0)
    meta = pod.metadata
    return PodMetrics(
        metadata=ObjectMeta(
            name=meta.name, namespace=meta.namespace, creation_timestamp=shortest.time, labels=dict(meta.labels)
        ),
        timestamp=shortest.time,
        window=_window(shortest),
        containers=[ContainerMetrics(name=one.name, usage=usage) for one, usage in containers if usage],
    )


def _container_usage(stats: ContainerStats) -> dict[str, str | int | float] | None:
    return _usage(stats.cpu, stats.memory) if stats.cpu and stats.memory else None


def _usage(cpu: Cpu, memory: Memory) -> dict[str, str | int | float] | None:
    """In the units of metrics-server: billionths of a core, and Ki."""
    if cpu.usage_nano_cores is None or memory.working_set_bytes is None:
        return None
    return {"cpu": f"{cpu.usage_nano_cores}n", "memory": f"{memory.working_set_bytes // 1024}Ki"}


def _window(cpu: Cpu) -> str:
    return f"{cpu.window_seconds or 0:.3f}".rstrip("0").rstrip(".") + "s"
