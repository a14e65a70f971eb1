"""A namespace that is deleted takes everything in it along."""

import msgspec

from labkit.api.errors import NotFound
from labkit.api.kinds import KINDS
from labkit.api.types import Namespace, ObjectMeta, Pod
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess
from tests.cluster.objects import pod, rc, service


async def is_gone(client: Client, name: str) -> bool:
    try:
        await client.get(Namespace, name)
    except NotFound:
        return True
    return False


async def holds(client: Client, name: str) -> dict[str, int]:
    """resource -> number of objects in the namespace, of those that it holds any of."""
    counted = {}
    for kind in KINDS.values():
        if kind.namespaced:
            body = await client.raw("GET", f"{kind.root}/namespaces/{name}/{kind.resource}")
            counted[kind.resource] = len(msgspec.json.decode(body)["items"])
    return {resource: number for resource, number in counted.items() if number}


async def test_a_deleted_namespace_takes_everything_along(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(Namespace(metadata=ObjectMeta(name="team")))
    for obj in (rc(4), service("redis"), pod("alone", {"app": "alone"}, termination_grace_period_seconds=1)):
        obj.metadata.namespace = "team"
        await client.create(obj)

    async def runs() -> bool:
        pods = (await client.list(Pod, "team")).items
        return len(pods) == 5 and all(pod.status.phase == "Running" for pod in pods)

    await eventually(runs, 10, expect="five pods run in team")
    assert (await holds(client, "team"))["replicationcontrollers"] == 1

    await client.delete(Namespace, "team")
    ending = await client.get(Namespace, "team")
    assert ending.status.phase == "Terminating"
    await eventually(lambda: is_gone(client, "team"), 20, expect="the namespace is gone")
    assert await holds(client, "team") == {}
    assert (await client.get(Namespace, "default")).status.phase == "Active"

    async def nothing_runs() -> bool:
        there = [await runtime.containers() for runtime in cluster.runtimes.values()]
        return not any(container.running for containers in there for container in containers)

    await eventually(nothing_runs, 10, expect="its containers have ended")


async def test_an_empty_namespace_is_gone_at_once(cluster: OneProcess) -> None:
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="empty")))
    await cluster.client.delete(Namespace, "empty")
    await eventually(lambda: is_gone(cluster.client, "empty"), 5, expect="the namespace is gone")


async def test_what_was_deleted_while_the_controller_was_away(cluster: OneProcess) -> None:
    client = cluster.client
    await cluster.stop("kube-controller-manager")
    await client.create(Namespace(metadata=ObjectMeta(name="late")))
    left = service("redis")
    left.metadata.namespace = "late"
    await client.create(left)
    await client.delete(Namespace, "late")
    assert await holds(client, "late") == {"services": 1}
    cluster.start("kube-controller-manager")
    await eventually(lambda: is_gone(client, "late"), 10, expect="the namespace is gone")
