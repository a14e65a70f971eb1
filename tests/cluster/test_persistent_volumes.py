"""Claims and volumes: bound, released, recycled, lost; and two binders that cannot give one volume twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from labkit.api.errors import Conflict
from labkit.api.types import (
    HostPathVolumeSource,
    ObjectMeta,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeSpec,
    Pod,
    ResourceRequirements,
    key,
)
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.components.kube_controller_manager.volume_binder import VolumeBinder
from labkit.components.kube_controller_manager.volume_recycler import RECYCLES
from labkit.components.kubelet.fake import Program
from labkit.components.kubelet.runtime import ContainerConfig
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess
from labkit.trace import Tracer
from tests.cluster.objects import events


def volume(name: str, size: str = "1Gi", policy: str = "Retain", path: str = "/data") -> PersistentVolume:
    return PersistentVolume(
        metadata=ObjectMeta(name=name),
        spec=PersistentVolumeSpec(
            capacity={"storage": size},
            access_modes=["ReadWriteOnce"],
            host_path=HostPathVolumeSource(path=path),
            persistent_volume_reclaim_policy=policy,
        ),
    )


def claim(name: str, size: str = "1Gi", wants: str = "") -> PersistentVolumeClaim:
    requests = ResourceRequirements(requests={"storage": size})
    spec = PersistentVolumeClaimSpec(access_modes=["ReadWriteOnce"], resources=requests, volume_name=wants)
    return PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


def volume_is(client: Client, name: str, phase: str, by: str = "") -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        found = await client.get(PersistentVolume, name)
        ref = found.spec.claim_ref
        return (found.status.phase, ref.name if ref else "") == (phase, by)

    return is_so


def claim_is(client: Client, name: str, phase: str, volume: str = "") -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        found = await client.get(PersistentVolumeClaim, name, "default")
        return (found.status.phase, found.spec.volume_name) == (phase, volume)

    return is_so


async def test_the_life_of_a_volume(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(claim("data"))
    await eventually(lambda: events(client, "FailedBinding"), 10, expect="it is told that there is no volume")
    await client.create(volume("big", "9Gi"))
    await eventually(claim_is(client, "data", "Bound", "big"), 10, expect="what is there, is taken")
    await eventually(volume_is(client, "big", "Bound", "data"), 10, expect="the volume says so, too")
    bound = await client.get(PersistentVolumeClaim, "data", "default")
    assert (bound.status.capacity, bound.status.access_modes) == ({"storage": "9Gi"}, ["ReadWriteOnce"])

    await client.delete(PersistentVolumeClaim, "data", "default")
    await eventually(volume_is(client, "big", "Released", "data"), 10, expect="released")
    await client.create(claim("data"))  # of the same name, and another: the data are not its own
    await client.create(volume("small"))
    await eventually(claim_is(client, "data", "Bound", "small"), 10, expect="the free one is taken")
    assert await volume_is(client, "big", "Released", "data")()

    await client.delete(PersistentVolume, "small")
    await eventually(claim_is(client, "data", "Lost", "small"), 10, expect="lost")
    await eventually(lambda: events(client, "ClaimLost"), 10, expect="and that is told")

    kept = await client.get(PersistentVolume, "big")
    kept.spec.claim_ref = ObjectReference(namespace="default", name="mine")
    await client.update(kept)
    await eventually(volume_is(client, "big", "Available", "mine"), 10, expect="kept for a claim to come")
    await client.create(claim("theirs"))
    await client.create(claim("mine"))
    await eventually(claim_is(client, "mine", "Bound", "big"), 10, expect="the claim that it was kept for has it")
    assert await claim_is(client, "theirs", "Pending")()


async def test_a_recycled_volume_is_scrubbed_on_every_machine(cluster: OneProcess) -> None:
    client = cluster.client
    scrubbed_on: list[str] = []

    def scrubs(node: str) -> Callable[[ContainerConfig], Program]:
        def program(config: ContainerConfig) -> Program:
            scrubbed_on.append(node)
            return Program(exit_code=0)

        return program

    for node, runtime in cluster.runtimes.items():
        runtime.program = scrubs(node)
    await client.create(volume("vol", policy="Recycle"))
    await client.create(claim("data"))
    await eventually(claim_is(client, "data", "Bound", "vol"), 10, expect="bound")
    await client.delete(PersistentVolumeClaim, "data", "default")
    await eventually(volume_is(client, "vol", "Available"), 20, expect="available again")
    assert sorted(set(scrubbed_on)) == ["agent1", "agent2"]

    async def no_scrubbers() -> bool:
        return not [pod for pod in (await client.list(Pod)).items if RECYCLES in pod.metadata.annotations]

    await eventually(no_scrubbers, 20, expect="nothing is left of the scrubbers")
    assert len(await events(client, "VolumeRecycled")) == 1


async def test_what_cannot_be_scrubbed_has_failed(cluster: OneProcess) -> None:
    client = cluster.client
    for runtime in cluster.runtimes.values():
        runtime.program = lambda config: Program(exit_code=1)
    for name, policy in (("dirty", "Recycle"), ("gone", "Delete")):
        await client.create(volume(name, policy=policy))
        await client.create(claim(name, wants=name))
        await eventually(claim_is(client, name, "Bound", name), 10, expect="bound")
        await client.delete(PersistentVolumeClaim, name, "default")
        await eventually(volume_is(client, name, "Failed", name), 20, expect="failed")
    assert "failed: exit code 1" in (await client.get(PersistentVolume, "dirty")).status.message
    assert "cannot be deleted" in (await client.get(PersistentVolume, "gone")).status.message


@pytest.fixture
async def clients() -> AsyncIterator[list[Client]]:
    """Of two servers on one store."""
    store, trace = Memory(), Tracer("kube-apiserver")
    async with (
        Server(store, Settings(), trace, insecure=True) as first,
        Server(store, Settings(), trace, insecure=True) as second,
    ):
        await first.start()
        await second.start()
        async with Client(first.base_url) as one, Client(second.base_url) as two:
            yield [one, two]


async def binders(clients: list[Client], *seen: Sequence[str]) -> list[VolumeBinder]:
    """Each saw these objects as they are now and nothing after that."""
    found = [VolumeBinder(client, trace=Tracer("test")) for client in clients]
    volumes = {key(one): one for one in (await clients[0].list(PersistentVolume)).items}
    claims = {key(one): one for one in (await clients[0].list(PersistentVolumeClaim)).items}
    for binder, names in zip(found, seen, strict=True):
        binder.volumes.store |= {name: one for name, one in volumes.items() if name in names}
        binder.claims.store |= claims
    return found


async def test_of_two_binders_one_gets_the_volume(clients: list[Client]) -> None:
    """Both think that it is free, and each wants it for another claim."""
    await clients[0].create(volume("v"))
    for name in ("a", "b"):
        await clients[0].create(claim(name))
    one, two = await binders(clients, ["v"], ["v"])
    ended = await asyncio.gather(one.sync_claim("default/a"), two.sync_claim("default/b"), return_exceptions=True)
    assert sorted(map(type, ended), key=str) == [type(None), Conflict]
    winner, loser = ("a", "b") if ended[0] is None else ("b", "a")
    ref = (await clients[0].get(PersistentVolume, "v")).spec.claim_ref
    assert ref is not None
    assert ref.name == winner
    assert await claim_is(clients[0], winner, "Bound", "v")()
    assert await claim_is(clients[0], loser, "Pending")()


async def test_of_two_volumes_for_one_claim_one_is_let_go(clients: list[Client]) -> None:
    """Each of two binders knows of one volume, and gives it to the same claim."""
    await clients[0].create(claim("data"))
    for name in ("v1", "v2"):
        await clients[0].create(volume(name))
    one, two = await binders(clients, ["v1"], ["v2"])
    await one.sync_claim("default/data")
    with pytest.raises(Conflict):
        await two.sync_claim("default/data")
    assert (await clients[0].get(PersistentVolume, "v2")).spec.claim_ref is not None  # a bond that came to nothing
    [knows_all] = await binders(clients[:1], ["v1", "v2"])
    for name in ("v1", "v2"):
        await knows_all.sync_volume(name)
    assert await volume_is(clients[0], "v1", "Bound", "data")()
    assert await volume_is(clients[0], "v2", "Available")()
    assert await claim_is(clients[0], "data", "Bound", "v1")()


async def test_a_storm_under_two_binders(clients: list[Client]) -> None:
    """Thirty claims and twenty volumes, made at once at two servers, each with a controller manager."""
    managers = [asyncio.create_task(ControllerManager(client).run()) for client in clients]
    try:
        for kind in (claim, volume):
            await asyncio.gather(*(clients[n % 2].create(kind(f"x{n}")) for n in range(30 if kind is claim else 20)))

        async def settled() -> bool:
            return await phases(clients[0], PersistentVolume) == {"Bound": 20}

        await eventually(settled, 30, expect="all volumes are bound")

        async def told() -> bool:
            return await phases(clients[0], PersistentVolumeClaim) == {"Bound": 20, "Pending": 10}

        await eventually(told, 30, expect="twenty claims have one, ten wait, none has lost its own")
    finally:
        for manager in managers:
            manager.cancel()
        await asyncio.wait(managers)
    refs = {one.metadata.name: one.spec.claim_ref for one in (await clients[1].list(PersistentVolume)).items}
    for one in (await clients[1].list(PersistentVolumeClaim)).items:
        if one.status.phase == "Bound":
            ref = refs.pop(one.spec.volume_name)  # KeyError: two claims have it
            assert ref is not None
            assert (f"{ref.namespace}/{ref.name}", ref.uid) == (key(one), one.metadata.uid)


async def phases(client: Client, kind: type[PersistentVolume] | type[PersistentVolumeClaim]) -> Counter[str]:
    return Counter(one.status.phase for one in (await client.list(kind)).items)
