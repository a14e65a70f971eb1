"""The pod garbage collector: of the pods that have ended, only so many are kept, the latest.

A pod that has ended uses nothing of a machine, but etcd, every list and every watch carry it until somebody deletes it.
Source: the podgc controller of Kubernetes 1.1 (--terminated-pod-gc-threshold).
"""

import asyncio
from collections.abc import Iterable

from labkit.api.errors import ApiError, NotFound
from labkit.api.types import Pod
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.trace import Tracer

PERIOD_SECONDS = 20.0


def surplus(pods: Iterable[Pod], threshold: int) -> list[Pod]:
    """The decision: which pods are to be deleted, the oldest first; none where `threshold` is 0."""
    ended = [pod for pod in pods if pod.status.phase in ("Succeeded", "Failed")]
    ended.sort(key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name))
    return ended[: len(ended) - threshold] if 0 < threshold < len(ended) else []


class PodGc:
    """Looks every 20 s; `run()` works until it is cancelled."""

    def __init__(
        self, client: Client, pods: Informer[Pod], *, threshold: int, period: float = PERIOD_SECONDS, trace: Tracer
    ) -> None:
        self.client = client
        self.pods = pods
        self.threshold = threshold
        self.period = period
        self.trace = trace

    async def run(self) -> None:
        await self.pods.synced()
        while True:
            try:
                await self.sync()
            except ApiError as exc:
                self.trace.log("pods that have ended not deleted", level="warning", error=str(exc))
            await asyncio.sleep(self.period)

    async def sync(self) -> None:
        """Look, decide, act."""
        for pod in surplus(self.pods.store.values(), self.threshold):
            try:
                await self.client.delete(Pod, pod.metadata.name, pod.metadata.namespace, grace_period_seconds=0)
            except NotFound:
                continue
            cause = f"more than {self.threshold} pods have ended"
            self.trace.decision("pod deleted", pod, cause=cause, function=surplus)
