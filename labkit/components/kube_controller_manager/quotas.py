"""The quota controller: how much of each ResourceQuota is used, counted anew from what is there.

kube-apiserver charges what is created; this loop puts right what it cannot see: what was deleted, what is over, what
was charged and then not made. What looks like too much may be charged and about to be made, so less is only written
when nobody has charged for a moment. Source: pkg/resourcequota of Kubernetes 1.0.
"""

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from labkit.api import quantity, quotas
from labkit.api.types import Pod, ResourceQuota, ResourceQuotaStatus, copy, key
from labkit.client.controller import Controller
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.trace import Tracer

SETTLE_SECONDS = 0.5


def usage(quota: ResourceQuota, pods: Iterable[Pod], others: Mapping[str, int]) -> ResourceQuotaStatus:
    """The decision: what the quota's status is to be. others: resource -> objects of it, pods aside."""
    living = [pod for pod in pods if quotas.counts(pod)]
    counted = {resource: number * 1000 for resource, number in others.items()} | {"pods": len(living) * 1000}
    for resource in quotas.COMPUTE:
        counted[resource] = sum(sum(quotas.limits_of(pod, resource)) for pod in living)
    hard = quota.spec.hard
    used = {resource: quotas.written(counted[resource], resource) for resource in hard if resource in counted}
    return ResourceQuotaStatus(hard=dict(hard), used=dict(used))


def is_less(status: ResourceQuotaStatus, before: ResourceQuotaStatus) -> bool:
    """Whether some amount in use is smaller than before."""
    return any(
        quantity.parse(amount) < quantity.parse(before.used.get(resource, 0))
        for resource, amount in status.used.items()
    )


class _Count(msgspec.Struct):
    """A list of which only the number of its objects is of interest."""

    items: list[msgspec.Raw] | None = None


class Quotas:
    """Watches quotas and pods; counts all every `period` seconds. `run()` works until it is cancelled."""

    def __init__(self, client: Client, pods: Informer[Pod], *, period: float, trace: Tracer) -> None:
        self.client = client
        self.trace = trace
        self.pods = pods
        self.period = period
        self._looked_at: dict[str, str] = {}  # quota -> its resourceVersion when it seemed too much
        self.quotas = Informer(client, ResourceQuota, trace=trace)
        self.queue = WorkQueue()
        self.controller = Controller("resource-quota", self.queue, self.sync, workers=2, trace=trace)
        self.quotas.on_change(self._quota_changed)
        pods.on_change(self._pod_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.quotas.run())
            await asyncio.gather(self.quotas.synced(), self.pods.synced())
            group.create_task(self.controller.run())
            group.create_task(self._count_all())

    async def _count_all(self) -> None:
        while True:
            await asyncio.sleep(self.period)
            for name in self.quotas.store:
                self.queue.add(name, cause="counted every so often")

    async def sync(self, name: str) -> None:
        """Look, decide, act for one quota. A Conflict (it was charged meanwhile) is tried again."""
        quota = self.quotas.store.get(name)
        if quota is None:
            self._looked_at.pop(name, None)
            return
        namespace = quota.metadata.namespace
        pods = (
            (await self.client.list(Pod, namespace)).items if quota.spec.hard.keys() & {"pods", *quotas.COMPUTE} else []
        )
        others = {
            resource: await self._count(namespace, resource)
            for resource in quota.spec.hard
            if resource in quotas.OBJECTS and resource != "pods"
        }
        status = usage(quota, pods, others)
        if status == quota.status:
            return
        version = quota.metadata.resource_version
        if is_less(status, quota.status) and self._looked_at.get(name) != version:
            self._looked_at[name] = version
            self.queue.add_after(name, SETTLE_SECONDS, cause=self.queue.cause(name))
            return
        changed = copy(quota)
        changed.status = status
        stored = await self.client.update_status(changed)
        self.trace.decision("counted", stored, cause=self.queue.cause(name), function=usage, used=status.used)

    async def _count(self, namespace: str, resource: str) -> int:
        body = await self.client.raw("GET", f"/api/v1/namespaces/{namespace}/{resource}")
        return len(msgspec.json.decode(body, type=_Count).items or [])

    # -- what the informers tell -----------------------------------------------------------------------------------

    def _quota_changed(self, old: ResourceQuota | None, new: ResourceQuota | None) -> None:
        if new is not None and (old is None or new.spec != old.spec):
            self.queue.add(key(new), cause=f"resourcequotas/{key(new)} {'changed' if old else 'added'}")

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A pod that goes or is over gives its room back."""
        if old is None or not quotas.counts(old) or (new is not None and quotas.counts(new)):
            return
        for name, quota in self.quotas.store.items():
            if quota.metadata.namespace == old.metadata.namespace:
                self.queue.add(name, cause=f"pods/{key(old)} {'is over' if new else 'deleted'}")
