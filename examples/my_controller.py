"""A whole controller: every service without a label `port` gets one that says its first port.

labkit push examples/my_controller.py
"""

from labkit.api.types import Service, copy, key
from labkit.client.controller import control
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client


async def run(client: Client) -> None:
    services, queue = Informer(client, Service), WorkQueue()

    def service_changed(old: Service | None, new: Service | None) -> None:
        if new and "port" not in new.metadata.labels:
            queue.add(key(new), cause="a service without the label")

    async def sync(name: str) -> None:
        service = services.store.get(name)
        if service and "port" not in service.metadata.labels:
            labelled = copy(service)
            labelled.metadata.labels["port"] = str(service.spec.ports[0].port)
            await client.update(labelled)

    services.on_change(service_changed)
    await control("my-controller", queue, sync, services)
