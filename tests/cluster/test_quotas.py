"""Two API servers, one place left: one pod is made. And room that is given back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from labkit.api.errors import Forbidden
from labkit.api.types import ObjectMeta, Pod, ResourceQuota, ResourceQuotaSpec
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.cluster.objects import pod


@pytest.fixture
async def clients() -> AsyncIterator[tuple[Client, Client]]:
    """Of two servers on one store; the controllers run at the first."""
    store, trace = Memory(), Tracer("kube-apiserver")
    settings = Settings(admission_control="LimitRanger,ResourceQuota")
    async with (
        Server(store, settings, trace, insecure=True) as first,
        Server(store, settings, trace, insecure=True) as second,
    ):
        await first.start()
        await second.start()
        async with Client(first.base_url) as one, Client(second.base_url) as two:
            manager = asyncio.create_task(ControllerManager(one, quota_period=0.5).run())
            yield one, two
            manager.cancel()
            await asyncio.wait([manager])


async def used(client: Client) -> str:
    return str((await client.get(ResourceQuota, "quota", "default")).status.used.get("pods"))


async def test_the_last_place_is_taken_once(clients: tuple[Client, Client]) -> None:
    one, two = clients
    quota = ResourceQuota(metadata=ObjectMeta(name="quota", namespace="default"))
    quota.spec = ResourceQuotaSpec(hard={"pods": "3"})
    await one.create(quota)
    await one.create(pod("first"))  # the plug-in waits for the first count
    made = await asyncio.gather(
        *(client.create(pod(f"p{number}-{name}")) for number in range(5) for name, client in (("a", one), ("b", two))),
        return_exceptions=True,
    )
    assert len([pod for pod in made if isinstance(pod, Pod)]) == 2
    refused = [error for error in made if isinstance(error, BaseException)]
    assert all(isinstance(error, Forbidden) and "Limited to 3 pods" in str(error) for error in refused)
    assert await used(one) == "3"

    await one.delete(Pod, "first", "default")

    async def room() -> bool:
        return await used(one) == "2"

    await eventually(room, 5, expect="a place is free again")
    await two.create(pod("last"))
