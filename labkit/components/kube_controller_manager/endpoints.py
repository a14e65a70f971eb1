"""The endpoints controller: for every Service with a selector, the addresses behind it.

      Service redis-master                        pods with app=redis-master        Endpoints redis-master
        selector app=redis-master                   10.244.2.5  ready                 10.244.2.5:6379
        port 6379 -> targetPort 6379                10.244.3.7  not ready
                                                    (no IP yet)

A Service without a selector is looked after by people: its Endpoints are left alone, and removed with it.
Source: pkg/service/endpoints_controller.go and pkg/api/endpoints of Kubernetes 0.18 and 1.0.
"""

import asyncio
from collections.abc import Iterable

from labkit.api.errors import NotFound
from labkit.api.subsets import repack
from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    ObjectReference,
    Pod,
    Service,
    ServicePort,
    copy,
    key,
)
from labkit.client.controller import Controller
from labkit.client.informer import Informer
from labkit.client.own_writes import OwnWrites
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.pod_index import PodIndex
from labkit.components.kube_controller_manager.pods import is_active, is_ready, selects
from labkit.trace import Tracer

# -- the decision --------------------------------------------------------------------------------------------------


def subsets(service: Service, pods: Iterable[Pod]) -> list[EndpointSubset]:
    """The endpoints of a service: what serves the same ports is one subset.

    The same pods in any order give the same answer, in the form that the API server stores: what has not changed is
    not written again.
    """
    selector, namespace = service.spec.selector, service.metadata.namespace
    each = []
    for pod in sorted(pods, key=lambda pod: pod.metadata.uid):
        if selects(selector, namespace, pod) and is_active(pod) and pod.status.pod_ip:
            here = [_address(pod)]
            ready, not_ready = (here, []) if is_ready(pod) else ([], here)
            each.append(EndpointSubset(addresses=ready, not_ready_addresses=not_ready, ports=_ports(service, pod)))
    return repack(each)


def _ports(service: Service, pod: Pod) -> list[EndpointPort]:
    """The ports of the service that this pod serves."""
    found = []
    for port in service.spec.ports:
        number = target_port(port, pod)
        if number is not None:
            found.append(EndpointPort(name=port.name, port=number, protocol=port.protocol or "TCP"))
    return found


def target_port(port: ServicePort, pod: Pod) -> int | None:
    """The number behind targetPort: itself, or that of the pod's port of this name and protocol; None without one."""
    target = port.target_port if port.target_port not in (None, 0, "") else port.port
    if isinstance(target, int):
        return target
    for container in pod.spec.containers:
        for offered in container.ports:
            if offered.name == target and (offered.protocol or "TCP") == (port.protocol or "TCP"):
                return offered.container_port
    return None


def _address(pod: Pod) -> EndpointAddress:
    """Without the pod's resourceVersion, which the original wrote: each heartbeat of a pod would be a new Endpoints."""
    meta = pod.metadata
    target = ObjectReference(kind="Pod", namespace=meta.namespace, name=meta.name, uid=meta.uid)
    return EndpointAddress(ip=pod.status.pod_ip, target_ref=target)


def points_at_pods(endpoints: Endpoints) -> bool:
    """Whether all addresses are pods', as this controller writes them; people write plain addresses."""
    return all(
        address.target_ref is not None and address.target_ref.kind == "Pod"
        for subset in endpoints.subsets
        for address in (*subset.addresses, *subset.not_ready_addresses)
    )


# -- the loop ------------------------------------------------------------------------------------------------------


class EndpointsController:
    """Watches services, pods and endpoints; `run()` works until it is cancelled."""

    def __init__(self, client: Client, pods: Informer[Pod], *, workers: int = 5, trace: Tracer | None = None) -> None:
        self.client = client
        self.trace = trace or Tracer("kube-controller-manager")
        self.pods = pods
        self.index = PodIndex(pods)
        self.services = Informer(client, Service, trace=self.trace)
        self.endpoints = Informer(client, Endpoints, trace=self.trace)
        self.written = OwnWrites(self.endpoints)
        self.queue = WorkQueue()
        self.controller = Controller("endpoints", self.queue, self.sync, workers=workers, trace=self.trace)
        self.services.on_change(self._service_changed)
        self.endpoints.on_change(self._endpoints_changed)
        pods.on_change(self._pod_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.services.run())
            group.create_task(self.endpoints.run())
            await asyncio.gather(self.services.synced(), self.endpoints.synced(), self.pods.synced())
            self._look_for_leftovers()
            group.create_task(self.controller.run())

    def _look_for_leftovers(self) -> None:
        """Services that were deleted while we were away; what is prepared by hand for a service to come is kept."""
        for name in self.endpoints.store.keys() - self.services.store.keys():
            if points_at_pods(self.endpoints.store[name]):
                self.queue.add(name, cause="its service was deleted while we were away")

    async def sync(self, key: str) -> None:
        """Look, decide, act for one service."""
        service, current = self.services.store.get(key), self.written.newest(key)
        if service is None:
            if current is not None:
                await self._delete(key, current)
            return
        if not service.spec.selector:
            return
        wanted = subsets(service, self.index.selected(service.spec.selector, service.metadata.namespace))
        labels = service.metadata.labels
        if current is not None and current.subsets == wanted and current.metadata.labels == labels:
            return
        await self._write(key, service, current, wanted)

    async def _write(self, key: str, service: Service, current: Endpoints | None, wanted: list[EndpointSubset]) -> None:
        meta = service.metadata
        endpoints = (
            copy(current) if current else Endpoints(metadata=ObjectMeta(name=meta.name, namespace=meta.namespace))
        )
        endpoints.metadata.labels = dict(meta.labels)
        endpoints.subsets = wanted
        stored = self.written.wrote(await (self.client.update(endpoints) if current else self.client.create(endpoints)))
        self.trace.decision(
            "endpoints", stored, cause=self.queue.cause(key), function=subsets,
            ready=[address.ip for subset in wanted for address in subset.addresses],
            not_ready=[address.ip for subset in wanted for address in subset.not_ready_addresses],
        )  # fmt: skip

    async def _delete(self, key: str, endpoints: Endpoints) -> None:
        self.trace.decision("deleted", endpoints, cause=self.queue.cause(key), function=EndpointsController.sync)
        try:
            await self.client.delete(Endpoints, endpoints.metadata.name, endpoints.metadata.namespace)
        except NotFound:
            pass

    # -- what the informers tell -----------------------------------------------------------------------------------

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        service = new or old
        assert service is not None
        word = "added" if old is None else "deleted" if new is None else "changed"
        self.queue.add(key(service), cause=f"services/{key(service)} {word}")

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        """Somebody else's hand in our Endpoints is put right. Without a service they are somebody's preparation."""
        endpoints = new or old
        if endpoints is not None and key(endpoints) in self.services.store:
            self.queue.add(key(endpoints), cause=f"endpoints/{key(endpoints)} changed")

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is not None and _shown_of(old) == _shown_of(new):
            return  # a heartbeat, say: most changes of pods are none of ours
        word = "added" if old is None else "deleted" if new is None else "changed"
        for service in self.services.store.values():
            selector, namespace = service.spec.selector, service.metadata.namespace
            for pod in (old, new):
                if pod is not None and selects(selector, namespace, pod):
                    self.queue.add(key(service), cause=f"pods/{key(pod)} {word}")


def _shown_of(pod: Pod) -> tuple[object, ...]:
    """What of a pod endpoints tell; its ports never change."""
    return pod.metadata.labels, pod.status.pod_ip, is_active(pod), is_ready(pod)
