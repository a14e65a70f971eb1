"""Writing statuses: again and again until the API server has them, and never over another pod."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from labkit.api.errors import NotFound
from labkit.api.types import Pod, PodStatus, copy
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.components.kubelet.report import Reports
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.unit.components.kubelet.pods import pod


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with await start_in_process() as server, Client(server.base_url) as client:
        yield client


@pytest.fixture
async def reports(client: Client) -> AsyncIterator[Reports]:
    reports = Reports(client, Tracer("kubelet"))
    task = asyncio.create_task(reports.run())
    yield reports
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def create(client: Client) -> Pod:
    made = pod()
    made.metadata.uid = ""
    return await client.create(made)


async def stored(client: Client) -> Pod:
    return await client.get(Pod, "web", "default")


def is_stored(client: Client, address: str) -> object:
    async def look() -> bool:
        return (await stored(client)).status.pod_ip == address

    return look


async def test_a_status_is_written_over_a_pod_that_changed_meanwhile(client: Client, reports: Reports) -> None:
    seen = await create(client)
    changed = copy(seen)
    changed.metadata.labels = {"new": "label"}
    await client.update(changed)
    reports.set(seen, PodStatus(phase="Running", pod_ip="10.244.2.5"))
    await eventually(is_stored(client, "10.244.2.5"))  # type: ignore[arg-type]
    assert (await stored(client)).metadata.labels == {"new": "label"}


async def test_the_same_status_is_not_written_twice(client: Client, reports: Reports) -> None:
    seen = await create(client)
    status = PodStatus(phase="Running", pod_ip="10.244.2.5")
    reports.set(seen, status)
    await eventually(is_stored(client, "10.244.2.5"))  # type: ignore[arg-type]
    version = (await stored(client)).metadata.resource_version
    reports.set(seen, copy(status))
    reports.set(await create_other(client), PodStatus(phase="Pending", pod_ip="10.244.2.6"))

    async def other_written() -> bool:
        return (await client.get(Pod, "other", "default")).status.pod_ip == "10.244.2.6"

    await eventually(other_written)
    assert (await stored(client)).metadata.resource_version == version


async def test_a_pod_on_its_way_up_is_told_of_once(client: Client, reports: Reports) -> None:
    """What comes within a moment is one write; that it runs is written at once."""
    seen = await create(client)
    for address in ("", "10.244.2.5"):
        reports.set(seen, PodStatus(phase="Pending", pod_ip=address, host_ip="10.245.1.12"))
    assert (await stored(client)).metadata.resource_version == seen.metadata.resource_version
    reports.set(seen, PodStatus(phase="Running", pod_ip="10.244.2.5"))
    await eventually(is_stored(client, "10.244.2.5"))  # type: ignore[arg-type]
    running = await stored(client)
    assert running.status.phase == "Running"
    reports.set(await create_other(client), PodStatus(phase="Pending", pod_ip="10.244.2.6"))

    async def other_written() -> bool:  # a moment later: what waited before was due by then
        return (await client.get(Pod, "other", "default")).status.pod_ip == "10.244.2.6"

    await eventually(other_written)
    assert (await stored(client)).metadata.resource_version == running.metadata.resource_version


async def create_other(client: Client) -> Pod:
    made = pod(name="other")
    made.metadata.uid = ""
    return await client.create(made)


async def test_a_pod_that_was_made_again_keeps_its_own_status(client: Client, reports: Reports) -> None:
    first = await create(client)
    await client.delete(Pod, "web", "default", grace_period_seconds=0)
    await create(client)
    reports.set(first, PodStatus(phase="Running", pod_ip="10.244.2.5"))
    reports.finish(first)
    await reports.sync(first.metadata.uid)
    assert (await stored(client)).status.pod_ip == ""


async def test_a_finished_pod_gets_its_last_status_and_is_removed(client: Client, reports: Reports) -> None:
    seen = await create(client)
    reports.set(seen, PodStatus(phase="Succeeded"))
    reports.finish(seen)
    assert reports.finishing(seen.metadata.uid)

    async def removed() -> bool:
        try:
            await stored(client)
        except NotFound:
            return True
        return False

    await eventually(removed)
    assert reports.finishing(seen.metadata.uid)  # until the watch has told of it
    reports.forget(seen.metadata.uid)
    assert not reports.finishing(seen.metadata.uid)
