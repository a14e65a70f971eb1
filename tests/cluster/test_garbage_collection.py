"""What belongs to an object goes with it, before it, or stays: the garbage collector in a whole cluster."""

from collections.abc import AsyncIterator

import pytest

from labkit.api.types import ConfigMap, ObjectMeta, OwnerReference, Pod, ReplicationController, Secret
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process
from tests.cluster.objects import pod, rc


@pytest.fixture
async def cluster() -> AsyncIterator[OneProcess]:
    async with one_process(nodes=["agent1"]) as cluster:
        yield cluster


def owned_by(*owners: ConfigMap | Secret | Pod | ReplicationController, blocks: bool = True) -> list[OwnerReference]:
    return [
        OwnerReference(
            api_version="v1", kind=one.KIND, name=one.metadata.name, uid=one.metadata.uid, block_owner_deletion=blocks
        )
        for one in owners
    ]


async def made(client: Client, name: str, owners: list[OwnerReference], *finalizers: str) -> ConfigMap:
    meta = ObjectMeta(name=name, namespace="default", owner_references=owners, finalizers=list(finalizers))
    return await client.create(ConfigMap(metadata=meta))


async def there(client: Client) -> dict[str, ConfigMap]:
    return {one.metadata.name: one for one in (await client.list(ConfigMap, "default")).items}


async def test_what_has_lost_all_owners_goes(cluster: OneProcess) -> None:
    client = cluster.client
    owner = await client.create(pod("owner"))
    other = await made(client, "other", [])
    await made(client, "below", owned_by(await made(client, "owned", owned_by(owner))))
    await made(client, "shared", owned_by(owner, other))
    await made(
        client, "of-something-else", [OwnerReference(api_version="apps/v1", kind="Deployment", name="web", uid="u1")]
    )
    await client.delete(Pod, "owner", "default")

    async def only_these() -> bool:
        found = await there(client)
        return set(found) == {"other", "shared", "of-something-else"} and found[
            "shared"
        ].metadata.owner_references == owned_by(other)

    await eventually(only_these, 10, expect="what lost its last owner gone, and what that owned")


async def test_an_owner_that_never_was(cluster: OneProcess) -> None:
    """Its uid decides, not its name."""
    client = cluster.client
    owner = await made(client, "owner", [])
    same_name = owned_by(owner)
    same_name[0].uid = "another"
    await made(client, "stray", same_name)
    await made(client, "child", owned_by(owner))

    async def without_stray() -> bool:
        return "stray" not in await there(client)

    await eventually(without_stray, 10, expect="what names another uid gone")
    assert set(await there(client)) == {"owner", "child"}


async def test_foreground_waits_for_those_that_block(cluster: OneProcess) -> None:
    client = cluster.client
    owner = await made(client, "owner", [])
    await made(client, "blocks", owned_by(owner), "example.org/slow")
    await made(client, "does-not-block", owned_by(owner, blocks=False), "example.org/slow")
    await client.delete(ConfigMap, "owner", "default", propagation_policy="Foreground")

    async def all_ending() -> bool:
        return all(one.metadata.deletion_timestamp for one in (await there(client)).values())

    await eventually(all_ending, 10, expect="all three being deleted")
    assert (await there(client))["owner"].metadata.finalizers == ["foregroundDeletion"]
    await client.patch(ConfigMap, "blocks", "default", {"metadata": {"finalizers": None}})

    async def owner_gone() -> bool:
        return set(await there(client)) == {"does-not-block"}

    await eventually(owner_gone, 10, expect="the owner gone, once nothing blocks it")


async def test_orphans_forget_their_owner(cluster: OneProcess) -> None:
    client = cluster.client
    await made(client, "child", owned_by(await made(client, "owner", [])))
    await client.delete(ConfigMap, "owner", "default", propagation_policy="Orphan")

    async def alone() -> bool:
        found = await there(client)
        return set(found) == {"child"} and not found["child"].metadata.owner_references

    await eventually(alone, 10, expect="the owner gone, the child without one")


async def test_whose_a_pod_is_follows_its_labels(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(pod("stranger"))
    controller = await client.create(rc(1))

    async def its_pods() -> list[str]:
        listing = await client.list(Pod, "default")
        return [
            one.metadata.name
            for one in listing.items
            if any(owner.uid == controller.metadata.uid for owner in one.metadata.owner_references)
        ]

    async def adopted() -> bool:
        return await its_pods() == ["stranger"]

    await eventually(adopted, 10, expect="the stranger adopted")
    await client.patch(Pod, "stranger", "default", {"metadata": {"labels": {"app": "quarantine"}}})

    async def replaced() -> bool:
        found = await its_pods()
        return len(found) == 1 and found != ["stranger"]

    await eventually(replaced, 10, expect="the stranger released, another pod in its place")
    await client.delete(ReplicationController, "web", "default", propagation_policy="Background")

    async def left() -> bool:
        return [one.metadata.name for one in (await client.list(Pod, "default")).items] == ["stranger"]

    await eventually(left, 10, expect="nothing left but the pod in quarantine")
