"""The examples at work: a whole scheduler and a whole controller, each a file of thirty lines."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from labkit.api.types import Pod, Service
from labkit.client.own_component import load
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process
from tests.cluster.objects import pod, service

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@asynccontextmanager
async def at_work(cluster: OneProcess, name: str) -> AsyncIterator[None]:
    async with Client(cluster.server.base_url) as client:
        task = asyncio.ensure_future(load(EXAMPLES / f"{name}.py")(client))
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_they_are_as_short_as_promised() -> None:
    for path in EXAMPLES.glob("*.py"):
        code = path.read_text().split('"""', 2)[2]
        assert len([line for line in code.splitlines() if line.strip()]) <= 30, path.name


async def test_the_scheduler_places_its_pods_evenly() -> None:
    async with one_process(nodes=["agent1", "agent2"]) as cluster, at_work(cluster, "my_scheduler"):
        for number in range(6):
            await cluster.client.create(pod(f"p{number}", scheduler_name="my-scheduler"))

            async def bound(name: str = f"p{number}") -> str:
                return (await cluster.client.get(Pod, name, "default")).spec.node_name

            await eventually(bound, 10, expect=f"p{number} bound")
        homes = Counter(each.spec.node_name for each in (await cluster.client.list(Pod, "default")).items)
        assert homes == {"agent1": 3, "agent2": 3}


async def test_the_controller_labels_services() -> None:
    async with one_process(nodes=[]) as cluster, at_work(cluster, "my_controller"):
        await cluster.client.create(service("redis"))

        async def labelled() -> bool:
            return (await cluster.client.get(Service, "redis", "default")).metadata.labels.get("port") == "6379"

        await eventually(labelled, 10, expect="the label")
