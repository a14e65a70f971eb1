"""EndpointSlices, read from Endpoints: GET /apis/discovery.k8s.io/v1/endpointslices, for `kubectl describe service`.

    Endpoints web                                        EndpointSlice web-1
    subsets: [{addresses: [a, b], notReady: [c],   ->    endpoints: [a ready, b ready, c not], ports: [8080]
               ports: [8080]}]                           labels: kubernetes.io/service-name=web

Kubernetes of 2015 has Endpoints only, and they are what is stored and written; a slice is one subset of them, made when
somebody asks. Source: discovery.k8s.io/v1.
"""

from __future__ import annotations

from labkit.api.fields import FieldSelector, field_labels
from labkit.api.kinds import KINDS
from labkit.api.labels import Selector
from labkit.api.types import (
    Endpoint,
    EndpointAddress,
    EndpointConditions,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    ObjectMeta,
    SlicePort,
)
from labkit.storage.cache import Cache

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


class Slices:
    """Those of the cache's Endpoints."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._endpoints = cache.shelf(KINDS["endpoints"].storage_prefix)

    async def select(self, namespace: str, labels: Selector, fields: FieldSelector) -> list[EndpointSlice]:
        """Of all namespaces when none is named."""
        await self._cache.current()
        return [
            piece
            for entry in self._endpoints.within(namespace)
            for piece in slices(entry.decode())
            if labels.matches(piece.metadata.labels) and fields.matches(field_labels(piece))
        ]


def slices(endpoints: Endpoints) -> list[EndpointSlice]:
    """One for each subset, in their order."""
    return [_slice(endpoints.metadata, number, subset) for number, subset in enumerate(endpoints.subsets, 1)]


def _slice(meta: ObjectMeta, number: int, subset: EndpointSubset) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(
            name=f"{meta.name}-{number}",
            namespace=meta.namespace,
            uid=meta.uid,
            resource_version=meta.resource_version,
            creation_timestamp=meta.creation_timestamp,
            labels=meta.labels | {SERVICE_NAME: meta.name, MANAGED_BY: "kube-apiserver"},
        ),
        endpoints=[
            *(_endpoint(address, True) for address in subset.addresses),
            *(_endpoint(address, False) for address in subset.not_ready_addresses),
        ],
        ports=[SlicePort(name=one.name, port=one.port, protocol=one.protocol or "TCP") for one in subset.ports],
    )


def _endpoint(address: EndpointAddress, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=[address.ip],
        conditions=EndpointConditions(ready=ready, serving=ready),
        node_name=address.node_name,
        target_ref=address.target_ref,
    )
