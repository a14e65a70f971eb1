"""Two processes of each kind: the one that leads is killed, the other goes on, and nothing is done twice."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from labkit.api.types import Condition, Lease, Node, NodeStatus, ObjectMeta, Pod
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.testing.eventually import eventually
from tests.cluster.objects import pods, rc, scale
from tests.cluster.test_processes import free_port

QUICK = (
    "--leader-elect", "--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s",
    "--leader-elect-retry-period=500ms",
)  # fmt: skip


@asynccontextmanager
async def candidate(name: str, server: str, folder: Path, number: int) -> AsyncIterator[asyncio.subprocess.Process]:
    config = folder / "kubeconfig"
    config.write_text(json.dumps({
        "current-context": "lab", "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab"}}],
    }))  # fmt: skip
    with (folder / f"{name}-{number}.log").open("w") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"labkit.components.{name}", f"--kubeconfig={config}", f"--port={free_port()}",
            *QUICK, stdout=out,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def holder(client: Client, lease: str) -> str:
    """Who leads."""

    async def held() -> str:
        leases = {one.metadata.name: one.spec.holder_identity for one in (await client.list(Lease)).items}
        return leases.get(lease, "")

    return await eventually(held, 60, every=0.1, expect=f"somebody leads {lease}")


async def count(client: Client, wanted: int) -> list[Pod]:
    """As many pods, all of them bound."""

    async def there() -> list[Pod]:
        found = await pods(client)
        return found if len(found) == wanted and all(pod.spec.node_name for pod in found) else []

    return await eventually(there, 60, every=0.1, expect=f"{wanted} bound pods")


@pytest.mark.parametrize("name", ["kube_scheduler", "kube_controller_manager"])
async def test_the_other_goes_on_when_the_leader_is_killed(name: str, tmp_path: Path) -> None:
    other = {"kube_scheduler": "kube_controller_manager", "kube_controller_manager": "kube_scheduler"}[name]
    lease = name.replace("_", "-")
    async with await start_in_process() as server, Client(server.base_url) as client, AsyncExitStack() as stack:
        start = (await client.list(Pod)).resource_version
        leader = await stack.enter_async_context(candidate(name, server.base_url, tmp_path, 1))
        first = await holder(client, lease)
        await stack.enter_async_context(candidate(name, server.base_url, tmp_path, 2))
        await stack.enter_async_context(candidate(other, server.base_url, tmp_path, 3))
        status = NodeStatus(
            capacity={"cpu": "9", "memory": "9Gi", "pods": "40"}, conditions=[Condition(type="Ready", status="True")]
        )
        await client.create(Node(metadata=ObjectMeta(name="agent1"), status=status))
        await client.create(rc(3))
        await count(client, 3)
        assert await holder(client, lease) == first
        leader.kill()
        await leader.wait()
        await scale(client, 8)
        await count(client, 8)
        assert await holder(client, lease) != first
        found = await client.get(Lease, lease, "kube-system")
        assert found.spec.lease_transitions == 1
        await asyncio.sleep(1)
        assert len(await pods(client)) == 8
        made = 0
        async with asyncio.timeout(20):
            async for event in client.watch(Pod, resource_version=start):
                made += event.type == "ADDED"
                if made == 8:
                    break
        listing = await client.list(Pod)
        assert made == len(listing.items) == 8
