"""What nobody deletes goes all the same: events after their time, and of the pods that have ended the oldest."""

import asyncio
from contextlib import aclosing

from labkit.api.types import Event, Pod
from labkit.client.events import EventRecorder
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess
from labkit.trace import Tracer
from tests.cluster.objects import pod


async def test_an_event_is_kept_for_its_time_and_its_going_is_watched() -> None:
    async with Server(Memory(), Settings(event_ttl=1), Tracer("kube-apiserver"), insecure=True) as server:
        await server.start()
        async with Client(server.base_url) as client:
            about = await client.create(pod("web"))
            recorder = EventRecorder(client, "test")
            recorder.event(about, "tested", "a word about it")
            await recorder.flush()
            listing = await client.list(Event)
            assert [event.message for event in listing.items] == ["a word about it"]
            watch = client.watch(Event, resource_version=listing.resource_version)
            async with aclosing(watch), asyncio.timeout(30):
                gone = await anext(watch)
            assert (gone.type, gone.object.message) == ("DELETED", "a word about it")
            assert (await client.list(Event)).items == []
            assert await client.get(Pod, "web", "default"), "what it was about stays"


async def test_of_the_pods_that_have_ended_the_oldest_are_deleted(cluster: OneProcess) -> None:
    client = cluster.client
    await cluster.stop("kube-controller-manager")
    for name in ("p0", "p1", "p2", "p3", "lives"):
        await client.create(pod(name, restart_policy="Never"))

    async def phases() -> dict[str, str]:
        return {one.metadata.name: one.status.phase for one in (await client.list(Pod, "default")).items}

    async def all_run() -> bool:
        return set((await phases()).values()) == {"Running"}

    await eventually(all_run, 30, expect="five pods run")
    for one in (await client.list(Pod, "default")).items:
        if one.metadata.name != "lives":
            cluster.runtimes[one.spec.node_name].exit(f"default/{one.metadata.name}", "c", 0)

    async def ended() -> bool:
        return list((await phases()).values()).count("Succeeded") == 4

    await eventually(ended, 30, expect="four pods have ended")
    async with Client(cluster.server.base_url) as other:
        manager = asyncio.create_task(ControllerManager(other, terminated_pods=2).run())
        try:

            async def kept() -> bool:
                return await phases() == {"p2": "Succeeded", "p3": "Succeeded", "lives": "Running"}

            await eventually(kept, 30, expect="the two youngest of those that have ended, and who lives")
        finally:
            manager.cancel()
            await asyncio.wait([manager])
