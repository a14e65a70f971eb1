"""What the API server keeps of itself: namespaces default and kube-system, the Service `kubernetes`, its Endpoints.

    Service kubernetes   default, 10.0.0.1 (the range's first), port 443  ->  Endpoints kubernetes   THIS SERVER:6443

A small loop puts back what is missing or wrong. Source: pkg/master/publish.go of Kubernetes 0.18 (its controller.go
later).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from labkit.api.errors import AlreadyExists, ApiError, NotFound
from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Namespace,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.storage.protocol import StorageError
from labkit.storage.registry import Intent, Registry
from labkit.trace import Tracer

PERIOD = 10.0
NAMESPACES = ("default", "kube-system")
_LABELS = {"component": "apiserver", "provider": "kubernetes"}
_SELF = Intent("default", "kubernetes", cause="kube-apiserver keeps its own service")


class Own(NamedTuple):
    """This server: the address and port that others reach it by, its service's IP, how many servers there are."""

    address: str
    port: int
    service_ip: str
    servers: int = 1


def own_service(own: Own) -> Service:
    """The Service as it is to be."""
    meta = ObjectMeta(name="kubernetes", namespace="default", labels=dict(_LABELS))
    ports = [ServicePort(name="https", protocol="TCP", port=443, target_port=own.port)]
    spec = ServiceSpec(ports=ports, cluster_ip=own.service_ip, type="ClusterIP", session_affinity="None")
    return Service(metadata=meta, spec=spec)


def own_subsets(current: Sequence[EndpointSubset], own: Own) -> list[EndpointSubset]:
    """This server's address, and those of others that are there, up to their number."""
    port = EndpointPort(name="https", port=own.port, protocol="TCP")
    there = [address.ip for subset in current if subset.ports == [port] for address in subset.addresses]
    others = [ip for ip in there if ip != own.address][: own.servers - 1]
    return [EndpointSubset(addresses=[EndpointAddress(ip=ip) for ip in sorted({own.address, *others})], ports=[port])]


class OwnService:
    """The loop. `registries` by resource."""

    def __init__(self, registries: dict[str, Registry], own: Own, trace: Tracer) -> None:
        self._registries = registries
        self._own = own
        self._trace = trace

    async def run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self.sync()
            except (ApiError, StorageError) as error:
                self._trace.log(f"cannot keep the service kubernetes, trying again: {error}", level="warning")

    async def sync(self) -> None:
        """Put back what is missing or wrong; raises ApiError, StorageError."""
        for name in NAMESPACES:
            await self._ensure("namespaces", Namespace(metadata=ObjectMeta(name=name)), _SELF._replace(namespace=""))
        await self._ensure("services", own_service(self._own), _SELF)
        try:
            await self._registries["endpoints"].update(_SELF, self._with_own_subsets)
        except NotFound:
            meta = ObjectMeta(name="kubernetes", namespace="default")
            await self._ensure("endpoints", Endpoints(metadata=meta, subsets=own_subsets([], self._own)), _SELF)

    async def _ensure(self, resource: str, wanted: Any, intent: Intent) -> None:
        registry = self._registries[resource]
        try:
            await registry.found(intent._replace(name=wanted.metadata.name))
        except NotFound:
            try:
                await registry.create(wanted, intent)
            except AlreadyExists:
                pass  # another server was faster

    def _with_own_subsets(self, endpoints: Endpoints) -> Endpoints:
        endpoints.subsets = own_subsets(endpoints.subsets, self._own)
        return endpoints
