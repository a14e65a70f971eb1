"""Most nodes, or the API server, fall silent: no storm of evictions; who comes back cleans up and serves again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from labkit.api.types import Node, Pod
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process
from tests.cluster.objects import names, pod, pods, rc, running

NODES = ["agent1", "agent2", "agent3", "agent4"]
LONG = 6.0  # seconds; more than one_process's eviction timeout


@pytest.fixture
async def cluster() -> AsyncIterator[OneProcess]:
    async with one_process(nodes=NODES) as running_cluster:
        yield running_cluster


async def ready_nodes(client: Client) -> set[str]:
    return {
        node.metadata.name
        for node in (await client.list(Node)).items
        if any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)
    }


async def are_ready(client: Client, *nodes: str) -> None:
    async def said() -> bool:
        return await ready_nodes(client) == set(nodes)

    await eventually(said, 20, expect=f"{nodes} Ready, and no other")


async def eight(client: Client) -> list[Pod]:
    async def there() -> list[Pod]:
        found = await running(client)
        return found if len(found) == 8 else []

    return await eventually(there, 20, expect="eight pods Running")


async def test_no_storm_when_most_are_away(cluster: OneProcess) -> None:
    client = cluster.client
    await are_ready(client, *NODES)
    await client.create(rc(8))
    before = names(await eight(client))
    for node in NODES[1:]:
        await cluster.stop(f"kubelet/{node}")
    await are_ready(client, "agent1")
    await asyncio.sleep(LONG)
    assert names(await pods(client)) == before  # not one was deleted
    for node in NODES[1:3]:
        cluster.start(f"kubelet/{node}")
    await are_ready(client, "agent1", "agent2", "agent3")

    async def left() -> bool:
        return "agent4" not in {one.spec.node_name for one in await running(client)}

    await eventually(left, 30, expect="the one that is really dead is emptied")
    after = await eight(client)
    assert {name for name in before if name in names(after)}  # those of the nodes that came back live on


async def test_no_storm_when_the_api_server_was_away(cluster: OneProcess) -> None:
    client = cluster.client
    await are_ready(client, *NODES)
    await client.create(rc(8))
    before = names(await eight(client))
    await cluster.restart_server(away=LONG)

    async def ready() -> bool:
        return await ready_nodes(client) == set(NODES)

    await eventually(ready, 30, every=0.2, expect="all nodes heard again")
    assert names(await pods(client)) == before


async def test_a_node_that_comes_back_cleans_up_and_serves_again(cluster: OneProcess) -> None:
    client = cluster.client
    await are_ready(client, *NODES)
    await client.create(rc(8))
    before = await eight(client)
    theirs = {one.metadata.uid for one in before if one.spec.node_name == "agent4"}
    assert theirs
    await cluster.stop("kubelet/agent4")

    async def elsewhere() -> bool:
        found = await running(client)
        return len(found) == 8 and "agent4" not in {one.spec.node_name for one in found}

    await eventually(elsewhere, 30, expect="its pods made elsewhere")
    runtime = cluster.runtimes["agent4"]
    assert {c.pod_uid for c in await runtime.containers()} == theirs  # nobody told the machine
    cluster.start("kubelet/agent4")

    async def clean() -> bool:
        return not [c for c in await runtime.containers() if c.running and c.pod_uid in theirs]

    await eventually(clean, 30, expect="its old containers ended")
    await are_ready(client, *NODES)
    await client.create(pod("again", labels={"app": "other"}, node_selector={"kubernetes.io/hostname": "agent4"}))

    async def serves() -> bool:
        return [one.spec.node_name for one in await running(client, "app=other")] == ["agent4"]

    await eventually(serves, 20, expect="it runs pods again")
