"""labkit rolling-update on a cluster in one process: to the end, interrupted, rolled back, stuck."""

import asyncio

import pytest

from labkit import rolling_update as rolling
from labkit.api.errors import NotFound
from labkit.api.types import Pod, ReplicationController, copy
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from labkit.testing.one_process import one_process
from tests.cluster.objects import rc, running

QUICK = rolling.Times(period=0.0, poll=0.02, timeout=20.0)


def version(number: int, replicas: int) -> ReplicationController:
    return rc(replicas, name=f"web-v{number}", labels={"app": "web", "version": f"v{number}"})


async def started(client: Client, replicas: int, number: int = 1) -> ReplicationController:
    made = await client.create(version(number, replicas))

    async def all_run() -> bool:
        return len(await running(client)) == replicas

    await eventually(all_run, 20, expect=f"{replicas} pods that run")
    return made


async def names(client: Client) -> dict[str, int | None]:
    return {each.metadata.name: each.spec.replicas for each in (await client.list(ReplicationController)).items}


async def interrupted(client: Client, old: ReplicationController, new: ReplicationController, after: str) -> list[str]:
    """Begin, and be cut off as soon as that line has been told."""
    told: list[str] = []
    reached = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith(after):
            reached.set()

    slowly = QUICK._replace(period=60.0)
    task = asyncio.create_task(rolling.rolling_update(client, old, new, slowly, tell))
    await asyncio.wait_for(reached.wait(), 20)

    async def grown() -> bool:
        found = await client.get(ReplicationController, new.metadata.name, "default")
        return found.spec.replicas == 2

    await eventually(grown, 20, expect="the new one to have grown")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told


@pytest.mark.parametrize(
    ("new", "old", "desired", "then"),
    [
        (1, 3, 3, (2, 2)),
        (2, 2, 3, (3, 1)),
        (3, 1, 3, (3, 0)),
        (3, 0, 3, None),
        (1, 1, 3, (2, 0)),
        (2, 0, 3, (3, 0)),  # the old one was smaller
        (1, 5, 1, (1, 0)),  # and here larger
        (1, 0, 1, None),
    ],
)
def test_each_step(new: int, old: int, desired: int, then: tuple[int, int] | None) -> None:
    assert rolling.next_step(new, old, desired) == then


async def test_one_takes_over_from_the_other_and_the_service_never_is_without() -> None:
    async with one_process() as cluster:
        old, told = await started(cluster.client, 3), list[str]()
        fewest = 3

        async def watch() -> None:
            nonlocal fewest
            while True:
                fewest = min(fewest, len(await running(cluster.client)))
                await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        await rolling.rolling_update(cluster.client, old, version(2, 3), QUICK, told.append)
        watching.cancel()
        assert told == [
            "Creating web-v2",
            "Updating web-v1 replicas: 2, web-v2 replicas: 2", "At end of loop: web-v1 replicas: 2, web-v2 replicas: 2",
            "Updating web-v1 replicas: 1, web-v2 replicas: 3", "At end of loop: web-v1 replicas: 1, web-v2 replicas: 3",
            "Updating web-v1 replicas: 0, web-v2 replicas: 3", "At end of loop: web-v1 replicas: 0, web-v2 replicas: 3",
            "Update succeeded. Deleting web-v1",
        ]  # fmt: skip
        assert fewest >= 3
        assert await names(cluster.client) == {"web-v2": 3}
        found = await cluster.client.get(ReplicationController, "web-v2", "default")
        assert found.metadata.annotations == {}
        assert {pod.metadata.labels["version"] for pod in await running(cluster.client)} == {"v2"}


async def test_the_same_command_goes_on_after_an_interruption() -> None:
    async with one_process() as cluster:
        old = await started(cluster.client, 3)
        await interrupted(cluster.client, old, version(2, 3), "Updating")
        assert await names(cluster.client) == {"web-v1": 3, "web-v2": 2}
        told = list[str]()
        old = await cluster.client.get(ReplicationController, "web-v1", "default")
        await rolling.rolling_update(cluster.client, old, version(2, 3), QUICK, told.append)
        assert told[0] == "Continuing update with existing controller web-v2."
        assert await names(cluster.client) == {"web-v2": 3}


async def test_an_update_under_way_is_rolled_back() -> None:
    async with one_process() as cluster:
        old = await started(cluster.client, 3)
        await interrupted(cluster.client, old, version(2, 3), "Updating")
        old = await cluster.client.get(ReplicationController, "web-v1", "default")
        new = await cluster.client.get(ReplicationController, "web-v2", "default")
        await rolling.roll_back(cluster.client, old, new, QUICK, list[str]().append)
        assert await names(cluster.client) == {"web-v1": 3}
        left = await cluster.client.get(ReplicationController, "web-v1", "default")
        assert left.metadata.annotations == {}
        with pytest.raises(rolling.UpdateError, match="web-v1 is no update of web-v1: there is nothing to roll back"):
            await rolling.roll_back(cluster.client, left, left, QUICK, print)


async def test_another_image_under_the_same_name() -> None:
    async with one_process() as cluster:
        old, told = await started(cluster.client, 2), list[str]()
        await rolling.change_image(cluster.client, old, "redis:2.8", QUICK, told.append)
        assert await names(cluster.client) == {"web-v1": 2}
        assert told[-1].endswith(" to web-v1")
        now = await running(cluster.client)
        assert [pod.spec.containers[0].image for pod in now] == ["redis:2.8"] * 2
        again = await cluster.client.get(ReplicationController, "web-v1", "default")
        await rolling.change_image(cluster.client, again, "redis:3.0", QUICK, told.append)
        assert {pod.spec.containers[0].image for pod in await running(cluster.client)} == {"redis:3.0"}


async def test_what_cannot_be_told_apart_is_refused_before_anything_happens() -> None:
    async with one_process(nodes=[]) as cluster:
        old = await cluster.client.create(version(1, 2))
        same_name = copy(version(2, 2))
        same_name.metadata.name = "web-v1"
        same_pods = version(1, 2)
        same_pods.metadata.name = "web-v3"
        for new, text in (
            (same_name, "web-v1: expected another name"),
            (same_pods, r"web-v3: spec.selector: expected one key of web-v1's selector \(app, version\)"),
            (version(2, 0), "web-v2: spec.replicas: expected at least 1, got 0"),
        ):
            with pytest.raises(rolling.UpdateError, match=text):
                await rolling.rolling_update(cluster.client, old, new, QUICK, print)
        await cluster.client.create(version(4, 1))
        with pytest.raises(rolling.UpdateError, match="web-v4 exists and is no update of web-v1"):
            await rolling.rolling_update(cluster.client, old, version(4, 1), QUICK, print)


async def test_pods_that_never_get_ready_stop_it_with_the_old_ones_alive() -> None:
    async with one_process() as cluster:
        old, new = await started(cluster.client, 2), version(2, 2)
        assert new.spec.template is not None
        new.spec.template.spec.node_selector = {"no": "such-node"}
        with pytest.raises(rolling.UpdateError, match="web-v2: 0 of 1 pods are ready after 1 s; the same command goes"):
            await rolling.rolling_update(cluster.client, old, new, QUICK._replace(timeout=1.0), print)
        assert len(await running(cluster.client)) == 2


async def test_a_controller_that_is_not_there() -> None:
    async with one_process(nodes=[]) as cluster:
        with pytest.raises(NotFound):
            await rolling.marked(cluster.client, version(1, 1))
        assert (await cluster.client.list(Pod)).items == []
