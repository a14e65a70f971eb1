"""Cluster IPs and node ports: never twice, never lost."""

import asyncio
import io

import aiohttp
import pytest

from labkit.api.errors import InternalError, Invalid
from labkit.api.types import ObjectMeta, Service, ServicePort, ServiceSpec
from labkit.components.kube_apiserver.allocator import Draft, ServiceAllocator, plan_address, plan_ports
from labkit.components.kube_apiserver.ranges import Addresses, Pool, Ports
from labkit.components.kube_apiserver.server import start_in_process
from labkit.storage.memory import Memory
from labkit.trace import Tracer

from .conftest import Http, service


def draft(pool: Pool, *taken: str) -> Draft:
    made = Draft(pool, 0, 0)
    for name in taken:
        assert made.take(name) == ""
    return made


def addresses(*taken: str) -> Draft:
    return draft(Addresses("10.0.0.0/24"), *taken)


def ports(*taken: str) -> Draft:
    return draft(Ports("30000-30003"), *taken)


def svc(ip: str = "", type: str = "ClusterIP", *node_ports: int) -> Service:
    listed = [ServicePort(port=80 + n, protocol="TCP", node_port=number) for n, number in enumerate(node_ports or (0,))]
    return Service(metadata=ObjectMeta(name="s"), spec=ServiceSpec(cluster_ip=ip, type=type, ports=listed))


def has(a_draft: Draft) -> set[str]:
    return {a_draft.pool.name(n) for n in range(a_draft.pool.size) if a_draft.bits >> n & 1}


def test_stored_form_is_the_originals() -> None:
    pool = Addresses("10.0.0.0/16")
    assert pool.encode(1 << 10 | 1) == (
        b'{"kind":"RangeAllocation","apiVersion":"v1","metadata":{},"range":"10.0.0.0/16","data":"BAE="}'
    )
    assert pool.decode(pool.encode(1 << 10 | 1)) == 1 << 10 | 1
    assert pool.name(10) == "10.0.0.11"
    assert pool.offset("10.0.0.11") == 10
    assert pool.offset("10.0.0.0") is None
    assert pool.offset("10.0.255.255") is None
    assert pool.offset("10.1.0.1") is None


def test_free_leaves_the_first_addresses_to_those_who_ask_by_name() -> None:
    pool = Addresses("10.0.0.0/24")
    assert pool.static == 16
    assert all((pool.free(0) or 0) >= 16 for _ in range(50))
    all_but_static = (1 << pool.size) - (1 << 16)
    assert 0 <= (pool.free(all_but_static) or 0) < 16
    assert pool.free((1 << pool.size) - 1) is None


class TestAddress:
    def test_asked_for(self) -> None:
        taken = addresses()
        assert plan_address(taken, None, svc("10.0.0.11")) == []
        assert has(taken) == {"10.0.0.11"}

    def test_any(self) -> None:
        taken, new = addresses(), svc()
        assert plan_address(taken, None, new) == []
        assert has(taken) == {new.spec.cluster_ip}

    def test_headless_takes_none(self) -> None:
        taken = addresses()
        assert plan_address(taken, None, svc("None")) == []
        assert has(taken) == set()

    @pytest.mark.parametrize(
        ("ip", "message"),
        [
            ("10.0.0.11", "invalid value '10.0.0.11': provided IP is already allocated"),
            ("1.2.3.4", "invalid value '1.2.3.4': provided IP is not in the valid range"),
        ],
    )
    def test_refused(self, ip: str, message: str) -> None:
        taken = addresses("10.0.0.11")
        faults = plan_address(taken, None, svc(ip))
        assert [(fault.field, fault.message) for fault in faults] == [("spec.clusterIP", message)]
        assert taken.bits == taken.before | 1 << 10

    def test_deleted_frees(self) -> None:
        taken = addresses("10.0.0.11", "10.0.0.12")
        assert plan_address(taken, svc("10.0.0.11"), None) == []
        assert has(taken) == {"10.0.0.12"}

    def test_update_keeps(self) -> None:
        taken = addresses("10.0.0.11")
        for new in (svc("10.0.0.11"), svc("")):
            assert plan_address(taken, svc("10.0.0.11"), new) == []
            assert new.spec.cluster_ip == "10.0.0.11"
        assert has(taken) == {"10.0.0.11"}

    def test_full(self) -> None:
        pool = Addresses("10.0.0.0/28")
        full = Draft(pool, 0, (1 << pool.size) - 1)
        with pytest.raises(InternalError, match="full"):
            plan_address(full, None, svc())


class TestPorts:
    def test_cluster_ip_service_takes_none(self) -> None:
        taken = ports()
        assert plan_ports(taken, None, svc()) == []
        assert has(taken) == set()

    def test_any_and_fixed(self) -> None:
        taken, new = ports(), svc("", "NodePort", 30002, 0)
        assert plan_ports(taken, None, new) == []
        assert has(taken) == {"30002", str(new.spec.ports[1].node_port)}
        assert len(has(taken)) == 2

    def test_refused(self) -> None:
        taken = ports("30001")
        faults = plan_ports(taken, None, svc("", "NodePort", 30001, 80))
        assert [(fault.field, fault.message) for fault in faults] == [
            ("spec.ports[0].nodePort", "invalid value '30001': provided port is already allocated"),
            ("spec.ports[1].nodePort", "invalid value '80': provided port is not in the valid range"),
        ]

    def test_tcp_and_udp_of_one_service_share_a_number(self) -> None:
        new = svc("", "NodePort", 30001, 30001)
        new.spec.ports[1].protocol = "UDP"
        taken = ports()
        assert plan_ports(taken, None, new) == []
        assert has(taken) == {"30001"}

    def test_change_frees_and_takes(self) -> None:
        taken = ports("30001", "30002")
        assert plan_ports(taken, svc("", "NodePort", 30001, 30002), svc("", "NodePort", 30001, 30003)) == []
        assert has(taken) == {"30001", "30003"}

    def test_a_port_that_stays_keeps_its_number(self) -> None:
        taken, new = ports("30001"), svc("", "NodePort", 0)
        assert plan_ports(taken, svc("", "NodePort", 30001), new) == []
        assert new.spec.ports[0].node_port == 30001

    def test_back_to_cluster_ip_frees(self) -> None:
        taken = ports("30001")
        assert plan_ports(taken, svc("", "NodePort", 30001), svc("", "ClusterIP", 0)) == []
        assert has(taken) == set()


def allocator(storage: Memory, ips: str = "10.0.0.0/24") -> ServiceAllocator:
    return ServiceAllocator(storage, Addresses(ips), Ports("30000-30009"), Tracer("test", io.StringIO()))


async def test_repair_makes_the_ranges_say_what_services_have() -> None:
    storage = Memory()
    async with await start_in_process(storage, trace=Tracer("t", io.StringIO())):
        pass
    value = b'{"metadata":{"name":"a","namespace":"x"},"spec":{"clusterIP":"10.0.0.77","ports":[{"nodePort":30005}]}}'
    await storage.commit({}, {"/registry/services/specs/x/a": value}, ["/registry/ranges/servicenodeports"])
    one = allocator(storage)
    await one.repair()
    with pytest.raises(Invalid, match="already allocated"):
        await one.plan(None, svc("10.0.0.77"))
    with pytest.raises(Invalid, match="already allocated"):
        await one.plan(None, svc("", "NodePort", 30005))
    before = await storage.revision()
    await one.repair()
    assert await storage.revision() == before


async def test_two_servers_on_one_store_never_hand_out_a_number_twice() -> None:
    storage, quiet = Memory(), Tracer("t", io.StringIO())
    async with (
        await start_in_process(storage, trace=quiet, service_node_port_range="30000-30063") as one,
        await start_in_process(storage, trace=quiet, service_node_port_range="30000-30063") as two,
        aiohttp.ClientSession() as session,
    ):
        clients = [Http(one.base_url, session), Http(two.base_url, session)]
        path = "/api/v1/namespaces/default/services"
        made = await asyncio.gather(*(clients[n % 2].made(path, service(f"s{n}", type="NodePort")) for n in range(60)))
        assert len({document["spec"]["clusterIP"] for document in made} | {"10.0.0.1"}) == 61
        assert len({document["spec"]["ports"][0]["nodePort"] for document in made}) == 60
        asked = await asyncio.gather(
            *(clients[n % 2]("POST", path, service(f"t{n}", clusterIP="10.0.0.11")) for n in range(8))
        )
        assert sorted(code for code, _ in asked) == [201, *[422] * 7]
        await asyncio.gather(*(clients[n % 2]("DELETE", f"{path}/s{n}") for n in range(60)))
        again = await clients[0].made(path, service("u", type="NodePort", ports=[{"port": 1, "nodePort": 30007}]))
        assert again["spec"]["ports"][0]["nodePort"] == 30007
