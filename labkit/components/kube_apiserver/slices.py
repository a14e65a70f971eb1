"""EndpointSlices, read from Endpoints: GET /apis/discovery.k8s.io/v1/endpointslices, for `kubectl describe service`
and for whoever watches them.

    Endpoints web                                        EndpointSlice web-1
    subsets: [{addresses: [a, b], notReady: [c],   ->    endpoints: [a ready, b ready, c not], ports: [8080]
               ports: [8080]}]                           labels: kubernetes.io/service-name=web

Kubernetes of 2015 has Endpoints only, and they are what is stored and written; a slice is one subset of them, made when
somebody asks, and an event of Endpoints becomes those of the slices that it changed. Source: discovery.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from labkit.api import codec
from labkit.api.fields import FieldSelector, field_labels
from labkit.api.kinds import KINDS, Resource
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
from labkit.components.kube_apiserver.messages import Request, Stream
from labkit.components.kube_apiserver.resources import watch_stream
from labkit.components.kube_apiserver.watching import Frames
from labkit.storage.cache import Cache
from labkit.storage.entry import Entry
from labkit.storage.history import Event, frame_of
from labkit.storage.selection import Selection

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


class Wanted(NamedTuple):
    """Which slices: of all namespaces when none is named."""

    namespace: str
    labels: Selector
    fields: FieldSelector

    def of(self, endpoints: Endpoints) -> dict[str, EndpointSlice]:
        """By name."""
        return {
            piece.metadata.name: piece
            for piece in slices(endpoints)
            if self.labels.matches(piece.metadata.labels) and self.fields.matches(field_labels(piece))
        }


class Slices:
    """Those of the cache's Endpoints."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._endpoints = cache.shelf(KINDS["endpoints"].storage_prefix)

    async def select(self, wanted: Wanted) -> tuple[list[EndpointSlice], int]:
        """They, and as of which revision."""
        await self._cache.current()
        entries = self._endpoints.within(wanted.namespace)
        return [piece for entry in entries for piece in wanted.of(entry.decode()).values()], self._cache.revision

    async def watch(self, request: Request, resource: Resource, wanted: Wanted) -> Stream:
        scope = Selection(f"{wanted.namespace}/" if wanted.namespace else "")
        return await watch_stream(self._cache, self._endpoints, request, scope, SliceFrames(request, resource, wanted))


class SliceFrames(Frames):
    """How events of Endpoints are written for one who watches slices."""

    def __init__(self, request: Request, resource: Resource, wanted: Wanted) -> None:
        super().__init__(request, resource)
        self.plain = False  # its chunks are nobody else's
        self._wanted = wanted

    def of_event(self, type: str, event: Event) -> bytes:
        before = self._wanted.of(event.previous.decode()) if event.previous else {}
        after = self._wanted.of(event.entry.decode()) if event.type != "DELETED" else {}
        return b"".join(self._frame(*change) for change in changes(before, after, str(event.revision)))

    def of_entry(self, entry: Entry) -> bytes:
        return b"".join(self._frame("ADDED", piece) for piece in self._wanted.of(entry.decode()).values())

    def _frame(self, type: str, piece: EndpointSlice) -> bytes:
        if self._table:
            return self._table_frame(type, piece, piece.metadata.resource_version)
        return frame_of(type, codec.encode(piece))


def changes(
    before: Mapping[str, EndpointSlice], after: Mapping[str, EndpointSlice], revision: str
) -> list[tuple[str, EndpointSlice]]:
    """What has happened to slices, in a watch's words; what is said of one that is gone is of that revision."""
    found = []
    for name, piece in after.items():
        if name not in before:
            found.append(("ADDED", piece))
        elif (piece.endpoints, piece.ports, piece.metadata.labels) != (
            before[name].endpoints, before[name].ports, before[name].metadata.labels
        ):  # fmt: skip
            found.append(("MODIFIED", piece))
    for name in before.keys() - after.keys():
        before[name].metadata.resource_version = revision
        found.append(("DELETED", before[name]))
    return found


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
