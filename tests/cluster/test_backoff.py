"""A ReplicationController whose pods are refused: told why, tried again ever more seldom, and made when they may be."""

import asyncio

from labkit.api.errors import Forbidden
from labkit.api.types import AnyObject, Pod
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.testing.eventually import eventually
from labkit.testing.one_process import one_process
from tests.cluster.objects import events, pods, rc


class Refused(Client):
    """An API server that lets no pod in, for a while."""

    refuses = True
    tried = 0

    async def create(self, obj: AnyObject) -> AnyObject:
        if isinstance(obj, Pod) and self.refuses:
            self.tried += 1
            raise Forbidden("limited to 0 pods")
        return await super().create(obj)


async def test_creations_that_fail_are_tried_ever_more_seldom() -> None:
    async with one_process(nodes=["agent1"]) as cluster:
        await cluster.stop("kube-controller-manager")
        async with Refused(cluster.server.base_url) as client:
            manager = asyncio.create_task(ControllerManager(client).run())
            try:
                await cluster.client.create(rc(50))
                await eventually(lambda: client.tried >= 3, 20, expect="it tries again")
                await asyncio.sleep(4)
                # after 0.1, 0.2, 0.4 ... s one each: 50 at once would be 50 each; its own writes wake it up a few times
                assert client.tried < 20
                told = await events(cluster.client, "failedCreate")
                assert {event.message for event in told} == {"Error creating: limited to 0 pods"}
                client.refuses = False

                async def made() -> bool:
                    return len(await pods(cluster.client)) == 50

                await eventually(made, 60, every=0.1, expect="all of them, as soon as they may")
            finally:
                manager.cancel()
                await asyncio.wait([manager])
