"""What `labkit up` keeps in the API for the cluster's DNS, against a kube-apiserver in this process."""

from collections.abc import AsyncIterator

import pytest

from labkit import cluster as clusters
from labkit.api.types import Endpoints, Service
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.provision import kube_system

CLUSTER = clusters.fresh("lab", "10.245.1.0/24")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with await start_in_process() as server, Client(server.base_url) as client:
        yield client


async def test_the_first_run_makes_service_and_endpoints_and_the_second_nothing(client: Client) -> None:
    assert await kube_system.ensure(client, CLUSTER) == ["service kube-dns", "endpoints kube-dns"]
    assert await kube_system.ensure(client, CLUSTER) == []
    service = await client.get(Service, "kube-dns", "kube-system")
    assert service.spec.cluster_ip == "10.0.0.10"
    assert {(port.name, port.protocol, port.port) for port in service.spec.ports} == {
        ("dns", "UDP", 53),
        ("dns-tcp", "TCP", 53),
    }
    assert not service.spec.selector
    subsets = (await client.get(Endpoints, "kube-dns", "kube-system")).subsets
    assert [address.ip for subset in subsets for address in subset.addresses] == ["10.245.1.11"]


async def test_what_was_deleted_comes_back(client: Client) -> None:
    await kube_system.ensure(client, CLUSTER)
    await client.delete(Endpoints, "kube-dns", "kube-system")
    assert await kube_system.ensure(client, CLUSTER) == ["endpoints kube-dns"]


async def test_what_was_changed_is_repaired_and_keeps_the_address(client: Client) -> None:
    await kube_system.ensure(client, CLUSTER)
    service = await client.get(Service, "kube-dns", "kube-system")
    service.spec.selector = {"app": "mine"}
    service.spec.ports = service.spec.ports[:1]
    await client.update(service)
    assert "service kube-dns" in await kube_system.ensure(client, CLUSTER)
    assert await kube_system.ensure(client, CLUSTER) == []
    assert (await client.get(Service, "kube-dns", "kube-system")).spec.cluster_ip == "10.0.0.10"
