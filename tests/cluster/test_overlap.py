"""Controllers whose selectors overlap, and one that can never be satisfied: told of, and nobody else is harmed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from labkit.api.errors import Conflict
from labkit.api.types import ReplicationController
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process
from tests.cluster.objects import events, pods, rc, running, scale

OURS = {"app": "web", "tier": "front"}


@pytest.fixture
async def cluster() -> AsyncIterator[OneProcess]:
    async with one_process() as running_cluster:
        yield running_cluster


async def replicas(client: Client, name: str) -> int | None:
    return (await client.get(ReplicationController, name, "default")).status.replicas


async def test_the_older_keeps_its_pods_and_the_younger_is_told(
    cluster: OneProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    client = cluster.client
    await client.create(rc(2, "a-older"))

    async def there() -> bool:
        return len(await running(client)) == 2

    await eventually(there, 15, expect="two pods")
    before = {one.metadata.uid for one in await pods(client)}
    younger = rc(4, "b-younger", OURS)  # every pod that it would make has app=web
    await client.create(younger)

    async def told() -> list[tuple[str, str]]:
        return [(event.involved_object.name, event.message) for event in await events(client, "overlap")]

    ((name, text),) = await eventually(told, 15, expect="an event about the overlap")
    assert name == "b-younger"
    assert text.startswith("replicationcontrollers/a-older, which is older, selects the pods")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if '"controllers overlap"' in line]
    assert '"key":"default/b-younger"' in line
    assert '"older":"default/a-older"' in line
    await asyncio.sleep(1)
    assert {one.metadata.uid for one in await pods(client)} == before
    assert not await replicas(client, "b-younger")
    await client.delete(ReplicationController, "a-older", "default")  # and its pods live on

    async def comes_forward() -> bool:
        return len(await running(client, "app=web,tier=front")) == 4

    await eventually(comes_forward, 20, expect="the younger works as soon as it is alone")
    assert len(await pods(client)) == 6


async def test_ten_thousand_of_an_image_that_does_not_exist(
    cluster: OneProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are made (500 at a time), most of them fit nowhere; others are served meanwhile, and it can be undone."""
    client = cluster.client
    greedy = rc(10_000, "greedy", {"app": "greedy"})
    assert greedy.spec.template
    greedy.spec.template.spec.containers[0].image = "no-such-image"
    for runtime in cluster.runtimes.values():
        runtime.absent.add("no-such-image")
    await client.create(greedy)

    async def many() -> bool:
        return (await replicas(client, "greedy") or 0) >= 400

    await eventually(many, 60, every=0.2, expect="the first hundreds")
    logged = ""

    async def named() -> bool:
        """By an event on a pod, and in the log: the kubelet says what is wrong with the image, the scheduler that the
        nodes are full."""
        nonlocal logged
        logged += capsys.readouterr().out
        failed = [event.message for event in await events(client, "failed")]
        full = [event.message for event in await events(client, "failedScheduling")]
        return (
            any("no-such-image" in message for message in failed)
            and any(message.count("PodFitsResources") == 2 for message in full)
            and '"image not pulled"' in logged
            and '"failedScheduling"' in logged
        )

    await eventually(named, 60, every=0.2, expect="events and lines about the image and the full nodes")
    await client.create(rc(2))

    async def made() -> bool:
        return len(await pods(client)) == 2

    await eventually(made, 30, every=0.2, expect="the other controller's pods made meanwhile")

    async def scaled() -> bool:
        with contextlib.suppress(Conflict):  # its status was written in between
            await scale(client, 0, "greedy")
            return True
        return False

    await eventually(scaled, 10, expect="scaled down")

    async def none_left() -> bool:
        return not await pods(client, "app=greedy")

    await eventually(none_left, 90, every=0.5, expect="none of them left")

    async def served() -> bool:
        return len(await running(client)) == 2

    await eventually(served, 30, every=0.2, expect="the others run")
