"""Three API servers on one etcd, as processes: no stale read, one winner of each race, no number given twice."""

import asyncio
import base64
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from typing import Any

import pytest

from labkit.api.errors import ApiError, Forbidden, NotFound
from labkit.api.types import (
    ConfigMap,
    Container,
    Namespace,
    ObjectMeta,
    Pod,
    PodSpec,
    ResourceQuota,
    ResourceQuotaSpec,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.client.rest import Client
from labkit.components.kube_apiserver.allocator import cluster_ip, node_ports
from labkit.components.kube_controller_manager.namespace import NamespaceController
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer

FLAGS = (
    "--apiserver-count=3",
    "--admission-control=NamespaceLifecycle,NamespaceExists,NodeRestriction,ResourceQuota",
)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, shared_etcd: EtcdServer, shared_authority: Authority
) -> Iterator[list[ApiServer]]:
    folder = tmp_path_factory.mktemp("servers")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(api_server(folder, shared_etcd, shared_authority, flags=FLAGS)) for _ in range(3)]


@pytest.fixture
async def clients(servers: list[ApiServer]) -> AsyncIterator[list[Client]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Client(server.url, server.context("admin", "system:masters")))
            for server in servers
        ]


def pod(name: str, namespace: str = "default", **labels: str) -> Pod:
    meta = ObjectMeta(name=name, namespace=namespace, labels=labels)
    return Pod(metadata=meta, spec=PodSpec(containers=[Container(name="c", image="i")]))


async def outcomes(attempts: Iterable[Awaitable[Any]]) -> Counter[str]:
    """How often each came of it: "won", or the error's class."""
    results = await asyncio.gather(*attempts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, ApiError):
            raise result
    return Counter(type(result).__name__ if isinstance(result, ApiError) else "won" for result in results)


async def test_what_one_acknowledged_all_others_show(clients: list[Client]) -> None:
    async def write_and_read(name: str) -> None:
        writer, *readers = random.sample(clients, 3)
        made = await writer.create(pod(name, step="made"))
        for n in range(5):
            reader, lister = random.sample(readers, 2)
            assert await reader.get(Pod, name, "default") == made
            listed = await lister.list(Pod, "default", field_selector=f"metadata.name={name}")
            assert listed.items == [made]
            made.metadata.labels = {"step": str(n)}
            writer, *readers = random.sample(clients, 3)
            made = await writer.update(made)
        await writer.delete(Pod, name, "default")
        for reader in readers:
            with pytest.raises(NotFound):
                await reader.get(Pod, name, "default")
            assert (await reader.list(Pod, "default", field_selector=f"metadata.name={name}")).items == []

    await asyncio.gather(*(write_and_read(f"fresh{n}") for n in range(12)))


async def test_every_race_has_one_winner(clients: list[Client]) -> None:
    everybody = clients * 4
    assert await outcomes(client.create(pod("race")) for client in everybody) == {"won": 1, "AlreadyExists": 11}
    made = await clients[0].get(Pod, "race", "default")
    assert await outcomes(client.update(labelled(made, str(n))) for n, client in enumerate(everybody)) == {
        "won": 1, "Conflict": 11
    }  # fmt: skip
    assert await outcomes(client.bind(made, f"n{n}") for n, client in enumerate(everybody)) == {
        "won": 1, "Conflict": 11
    }  # fmt: skip
    assert await outcomes(client.delete(Pod, "race", "default", grace_period_seconds=0) for client in everybody) == {
        "won": 1, "NotFound": 11
    }  # fmt: skip


def labelled(made: Pod, text: str) -> Pod:
    """Another version of it, to replace this one only."""
    meta = ObjectMeta(
        name=made.metadata.name, namespace="default", labels={"by": text},
        resource_version=made.metadata.resource_version,
    )  # fmt: skip
    return Pod(metadata=meta, spec=made.spec)


async def test_a_patch_through_each_server_loses_none(clients: list[Client]) -> None:
    """Patches without a resourceVersion all count: each is tried again on what the others left."""
    await clients[0].create(ConfigMap(metadata=ObjectMeta(name="all", namespace="default")))
    path, kind = "/api/v1/namespaces/default/configmaps/all", "application/merge-patch+json"
    patches = [json.dumps({"data": {f"k{n}": "v"}}).encode() for n in range(12)]
    done = await outcomes(
        clients[n % 3].raw("PATCH", path, body=patch, content_type=kind) for n, patch in enumerate(patches)
    )
    assert done == {"won": 12}
    assert len((await clients[1].get(ConfigMap, "all", "default")).data) == 12


def service(name: str = "", ip: str = "", port: int | None = None) -> Service:
    meta = ObjectMeta(name=name, generate_name="" if name else "s", namespace="default")
    ports = [ServicePort(port=80, node_port=port)]
    return Service(metadata=meta, spec=ServiceSpec(type="NodePort", cluster_ip=ip, ports=ports))


async def test_no_address_and_no_port_is_given_twice(clients: list[Client], shared_etcd: EtcdServer) -> None:
    async def come_and_go(client: Client) -> None:
        for n in range(12):
            made = await client.create(service())
            if n % 3 == 0:
                await random.choice(clients).delete(Service, made.metadata.name, "default")

    await asyncio.gather(*(come_and_go(client) for client in clients * 2))
    services = (await clients[0].list(Service)).items
    ips = [cluster_ip(found) for found in services]
    ports = [port for found in services for port in node_ports(found).values()]
    assert len(services) == 6 * 8 + 1  # and `kubernetes`
    assert len(set(ips)) == len(ips)
    assert len(set(ports)) == len(ports) == 6 * 8
    assert [bits(shared_etcd, "serviceips"), bits(shared_etcd, "servicenodeports")] == [len(ips), len(ports)]
    free_ip = next(f"10.0.0.{n}" for n in range(2, 254) if f"10.0.0.{n}" not in ips)
    wanted = [service(f"ip{n}", ip=free_ip) for n in range(6)]
    assert await outcomes(clients[n % 3].create(one) for n, one in enumerate(wanted)) == {"won": 1, "Invalid": 5}
    free_port = next(port for port in range(30000, 32768) if port not in ports)
    wanted = [service(f"port{n}", port=free_port) for n in range(6)]
    assert await outcomes(clients[n % 3].create(one) for n, one in enumerate(wanted)) == {"won": 1, "Invalid": 5}


def bits(etcd: EtcdServer, name: str) -> int:
    """How many numbers the range in etcd says are taken."""
    stored = json.loads(etcd.ctl("get", "--print-value-only", f"/registry/ranges/{name}"))
    return int.from_bytes(base64.b64decode(stored["data"])).bit_count()


async def test_a_quota_lets_through_as_many_as_it_says(clients: list[Client]) -> None:
    await clients[0].create(Namespace(metadata=ObjectMeta(name="small")))
    quota = ResourceQuota(metadata=ObjectMeta(name="q", namespace="small"), spec=ResourceQuotaSpec(hard={"pods": "10"}))
    counted = await clients[0].create(quota)
    counted.status.hard, counted.status.used = {"pods": "10"}, {"pods": "0"}  # as the quota controller does
    counted = await clients[0].update_status(counted)
    for client in clients:
        await client.list(Pod, "small")  # a consistent read: from here on they all know the quota
    done = await outcomes(clients[n % 3].create(pod(f"p{n}", "small")) for n in range(30))
    assert done == {"won": 10, "Forbidden": 20}
    assert (await clients[1].get(ResourceQuota, "q", "small")).status.used == {"pods": "10"}
    assert len((await clients[2].list(Pod, "small")).items) == 10


async def test_nothing_outlives_its_namespace(clients: list[Client], shared_etcd: EtcdServer) -> None:
    """Everybody creates through every server while the namespaces are deleted, emptied, finalized and removed."""
    names = [f"doomed{n}" for n in range(6)]
    for name in names:
        await clients[0].create(Namespace(metadata=ObjectMeta(name=name)))
    refused: list[ApiError] = []

    async def create_until_refused(client: Client, namespace: str, prefix: str) -> None:
        for n in range(10_000):
            try:
                await client.create(pod(f"{prefix}{n}", namespace))
            except Forbidden as error:
                refused.append(error)
                if "does not exist" in error.message:
                    return
                await asyncio.sleep(0.001)

    controller = asyncio.create_task(NamespaceController(clients[0]).run())
    creators = [
        asyncio.create_task(create_until_refused(client, name, f"c{number}-"))
        for name in names for number, client in enumerate(clients)
    ]  # fmt: skip
    await asyncio.sleep(0.3)
    for n, name in enumerate(names):
        await clients[n % 3].delete(Namespace, name)
    await asyncio.wait_for(asyncio.gather(*creators), 40)
    for client in clients:
        assert not {ns.metadata.name for ns in (await client.list(Namespace)).items} & set(names)
    keys = shared_etcd.ctl("get", "--prefix", "--keys-only", "/registry/").split()
    assert [key for key in keys if "doomed" in key] == []
    assert any("because it is being terminated" in error.message for error in refused)
    controller.cancel()
    await asyncio.wait([controller])
