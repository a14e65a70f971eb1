"""kube-dns follows Services and Endpoints and answers for their names.

    Services, Endpoints --watch--> records_of --> Records                        records.py
    packet --> Server --> cache --> respond --> answer(question, records) --> packet    server.py, wire.py, answer.py
                                       '--> not the cluster's name, and there are forwarders            forward.py

Pods reach it as they reach any Service: at a cluster IP (10.0.0.10), through kube-proxy.
Source: cluster/addons/dns of Kubernetes 0.18, where kube2sky wrote records into an etcd that SkyDNS read: here they are
one process and a table in memory, for a watch is enough to fill it again after a restart.
"""

import asyncio

from labkit.api.services import HEADLESS
from labkit.api.types import Endpoints, Service, key
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.components.kube_dns import counts
from labkit.components.kube_dns.forward import Forwarder
from labkit.components.kube_dns.records import Record, Records, records_of
from labkit.components.kube_dns.server import Reply, Server
from labkit.components.kube_dns.wire import is_outside, respond, servfail
from labkit.trace import Tracer


class Dns:
    """Keeps the records in step: `run()` works until it is cancelled."""

    def __init__(
        self,
        client: Client,
        domain: str = "cluster.local.",
        forwarders: tuple[str, ...] = (),
        trace: Tracer | None = None,
    ) -> None:
        self.trace = trace or Tracer("kube-dns")
        self.records = Records(domain)
        self.services = Informer(client, Service, trace=self.trace)
        self.endpoints = Informer(client, Endpoints, trace=self.trace)
        self.server = Server(self._respond)
        self.forwarder = Forwarder(forwarders)
        self.ready = asyncio.Event()
        self.services.on_change(self._service_changed)
        self.endpoints.on_change(self._endpoints_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.services.run(), name="services")
            group.create_task(self.endpoints.run(), name="endpoints")
            group.create_task(counts.tell(self.server.counts, self.trace), name="counts")
            await self.services.synced()
            await self.endpoints.synced()
            self.server.forget()
            self.ready.set()
            self.trace.log("answering", domain=self.records.domain, services=len(self.services.store))

    def trouble(self) -> str:
        return "" if self.ready.is_set() else "waiting for the API server"

    def metrics(self) -> str:
        forwards = {f'forwards_total{{result="{result}"}}': number for result, number in self.forwarder.counts.items()}
        return self.server.counts.text(
            cached_answers=self.server.cached, services=len(self.services.store), serial=self.records.serial, **forwards
        )

    def _respond(self, packet: bytes, tcp: bool = False) -> Reply:
        if self.forwarder.addresses and is_outside(packet, self.records):
            return self._forward(packet, tcp)
        return respond(packet, self.records if self.ready.is_set() else None, tcp=tcp)

    async def _forward(self, packet: bytes, tcp: bool) -> bytes:
        return await self.forwarder.ask(packet, tcp=tcp) or servfail(packet)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        what = "added" if old is None else "deleted" if new is None else "updated"
        service = new or old
        assert service is not None
        self._sync(service, deleted=new is None, cause=f"service {what}")

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        changed = new or old
        assert changed is not None
        service = self.services.store.get(key(changed))
        if service is not None and service.spec.cluster_ip == HEADLESS:
            self._sync(service, cause="endpoints changed")

    def _sync(self, service: Service, *, cause: str, deleted: bool = False) -> None:
        """Make the table hold what the service's records are now."""
        name = key(service)
        endpoints = self.endpoints.store.get(name)
        came, went = self.records.put(name, [] if deleted else records_of(service, endpoints, self.records.domain))
        if came or went:
            self.server.forget()
        for decision, records in (("record added", came), ("record removed", went)):
            for record in records:
                self._tell(decision, service, record, cause)

    def _tell(self, decision: str, service: Service, record: Record, cause: str) -> None:
        self.trace.decision(
            decision, service, cause=cause, function=records_of, record=f"{record.name} {record.type} {record.data}"
        )
