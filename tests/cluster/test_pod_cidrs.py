"""Nodes get the network of their pods from the node controller, where it is asked to."""

import asyncio
from ipaddress import IPv4Network

from labkit.api.types import Event, Node
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.testing.eventually import eventually
from labkit.testing.one_process import QUICK, one_process


async def test_each_node_gets_a_network_until_none_is_left() -> None:
    async with one_process(nodes=["agent1", "agent2"]) as cluster:
        await cluster.stop("kube-controller-manager")

        async def networks() -> dict[str, str]:
            return {node.metadata.name: node.spec.pod_cidr for node in (await cluster.client.list(Node)).items}

        async def registered() -> bool:
            return set(await networks()) == {"agent1", "agent2"}

        await eventually(registered, 20, expect="two nodes")
        assert set((await networks()).values()) == {""}
        async with Client(cluster.server.base_url) as client:
            controllers = ControllerManager(client, timing=QUICK, cluster=IPv4Network("10.244.0.0/23"))
            running = asyncio.create_task(controllers.run())
            try:

                async def given() -> bool:
                    return await networks() == {"agent1": "10.244.0.0/24", "agent2": "10.244.1.0/24"}

                await eventually(given, 20, expect="a network each")
                cluster.add_node("agent3")

                async def told() -> bool:
                    events = (await client.list(Event, field_selector="reason=CIDRNotAvailable")).items
                    return [(e.involved_object.name, e.count) for e in events] == [("agent3", 1)]

                await eventually(told, 20, expect="an event about the node that got none")
                assert (await networks())["agent3"] == ""
                await cluster.stop("kubelet/agent2")
                await client.delete(Node, "agent2")

                async def passed_on() -> bool:
                    return await networks() == {"agent1": "10.244.0.0/24", "agent3": "10.244.1.0/24"}

                await eventually(passed_on, 20, expect="the network of a node that is gone")
            finally:
                running.cancel()
                await asyncio.wait([running])
