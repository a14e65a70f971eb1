"""Cluster IPs and node ports of services.

The Service and the range it takes from are written in one transaction, which expects the range's revision: two servers
never hand out a number twice, and a crash leaves none taken without its service. `repair` at the start mends what
other hands did to the store (or a range that was changed by flag).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from labkit.api.errors import Fault, InternalError, Invalid
from labkit.api.faults import invalid
from labkit.api.kinds import kind_of
from labkit.api.services import HEADLESS, cluster_ip
from labkit.api.types import Service
from labkit.components.kube_apiserver.ranges import Addresses, Pool, Ports
from labkit.storage.protocol import Mismatch, Storage
from labkit.storage.registry import Writes
from labkit.trace import Tracer

WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
REPAIRS = 10


class Draft:
    """A range while a change is being planned."""

    def __init__(self, pool: Pool, revision: int, bits: int) -> None:
        self.pool = pool
        self.revision = revision
        self.before = self.bits = bits

    def take(self, name: str) -> str:
        """Take this one; what is wrong with it, or ""."""
        offset = self.pool.offset(name)
        if offset is None:
            return "is not in the valid range"
        if self.bits >> offset & 1:
            return "is already allocated"
        self.bits |= 1 << offset
        return ""

    def take_any(self) -> str:
        offset = self.pool.free(self.bits)
        if offset is None:
            raise InternalError(f"the range {self.pool.text} is full")
        self.bits |= 1 << offset
        return self.pool.name(offset)

    def free(self, name: str) -> None:
        offset = self.pool.offset(name)
        if offset is not None:
            self.bits &= ~(1 << offset)


def node_ports(service: Service | None) -> dict[tuple[int | None, str], int]:
    """(port, protocol) -> node port, of those that have one."""
    ports = service.spec.ports if service else []
    return {(port.port, port.protocol): port.node_port for port in ports if port.node_port}


def plan_address(draft: Draft, old: Service | None, new: Service | None) -> list[Fault]:
    """Free what is no longer wanted, take what is; fills in new.spec.cluster_ip."""
    had = cluster_ip(old)
    if had and (new is None or new.spec.cluster_ip not in ("", had)):
        draft.free(had)
        had = ""
    if new is None or new.spec.cluster_ip == HEADLESS or (had and new.spec.cluster_ip == had):
        return []
    if not new.spec.cluster_ip:
        new.spec.cluster_ip = had or draft.take_any()
        return []
    wrong = draft.take(new.spec.cluster_ip)
    return [invalid("spec.clusterIP", new.spec.cluster_ip, f"provided IP {wrong}")] if wrong else []


def plan_ports(draft: Draft, old: Service | None, new: Service | None) -> list[Fault]:
    """As plan_address; a port that keeps its number and protocol keeps its node port."""
    had = node_ports(old)
    if new is not None and new.spec.type in WITH_NODE_PORTS:
        for port in new.spec.ports:
            port.node_port = port.node_port or had.get((port.port, port.protocol))
    kept = set(node_ports(new).values())
    for number in set(had.values()) - kept:
        draft.free(str(number))
    faults, taken = [], set(had.values()) & kept
    for index, port in enumerate(new.spec.ports if new else ()):
        if port.node_port and port.node_port not in taken:
            wrong = draft.take(str(port.node_port))
            if wrong:
                faults.append(invalid(f"spec.ports[{index}].nodePort", port.node_port, f"provided port {wrong}"))
            taken.add(port.node_port)  # TCP and UDP of one service may share a number
    if new is not None and new.spec.type in WITH_NODE_PORTS and not faults:
        for port in new.spec.ports:
            port.node_port = port.node_port or int(draft.take_any())
    return faults


class ServiceAllocator:
    """The companion of every Service that is written. `turn`: one plan at a time within this server."""

    def __init__(self, storage: Storage, addresses: Addresses, ports: Ports, trace: Tracer) -> None:
        self.turn = asyncio.Lock()
        self._storage = storage
        self._addresses = addresses
        self._ports = ports
        self._trace = trace

    async def plan(self, old: Any | None, new: Any | None) -> Writes:
        """The ranges as they must be and as they become; raises Invalid."""
        addresses, ports = await self._draft(self._addresses), await self._draft(self._ports)
        faults = plan_address(addresses, old, new) + plan_ports(ports, old, new)
        if faults:
            raise Invalid.of("Service" if old is None else "service", new.metadata.name if new else "", faults)
        return _writes((addresses, ports))

    async def _draft(self, pool: Pool) -> Draft:
        stored = await self._storage.get(pool.key)
        return Draft(pool, stored.revision, pool.decode(stored.value)) if stored else Draft(pool, 0, 0)

    async def repair(self) -> None:
        """Make both ranges say exactly what the services have."""
        for _ in range(REPAIRS):
            drafts = [await self._draft(pool) for pool in (self._addresses, self._ports)]
            services = await self._services()
            used = ([cluster_ip(s) for s in services], [str(p) for s in services for p in node_ports(s).values()])
            for draft, names in zip(drafts, used, strict=True):
                self._rebuild(draft, names)
            try:
                writes = _writes(drafts)
                if writes.put:
                    await self._storage.commit(writes.expect, writes.put)
                return
            except Mismatch:
                continue  # another server allocated meanwhile
        self._trace.log("the ranges of services could not be checked: other servers keep writing", level="warning")

    async def _services(self) -> list[Service]:
        page = await self._storage.list(kind_of(Service).storage_prefix + "/")
        return [msgspec.json.decode(item.value, type=Service) for item in page.items]

    def _rebuild(self, draft: Draft, names: Iterable[str]) -> None:
        draft.bits = 0
        for name in sorted(set(names) - {""}):
            wrong = draft.take(name)
            if wrong:
                self._trace.log(f"a service has {name}, which {wrong} {draft.pool.text}", level="error")
        if draft.bits != draft.before:
            self._trace.log(f"{draft.pool.key} did not say what the services have: repaired", level="warning")


def _writes(drafts: Iterable[Draft]) -> Writes:
    changed = [draft for draft in drafts if draft.bits != draft.before]
    return Writes(
        {draft.pool.key: draft.revision for draft in changed},
        {draft.pool.key: draft.pool.encode(draft.bits) for draft in changed},
    )
