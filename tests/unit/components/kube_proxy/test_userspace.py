"""Syncs of the userspace mode: what is read, what is written, against a nat table in memory."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from labkit.api.types import Service, ServicePort, key
from labkit.components.kube_proxy import local_ports
from labkit.components.kube_proxy.balancer import Address, Balancer
from labkit.components.kube_proxy.iptables import CHAINS
from labkit.components.kube_proxy.memory_nat import MemoryNat
from labkit.components.kube_proxy.relay import SPARE_DESCRIPTORS, Relay
from labkit.components.kube_proxy.userspace import Machine, Userspace
from labkit.trace import Tracer
from tests.unit.components.kube_proxy.test_iptables import service

TCP80 = ServicePort(port=80, protocol="TCP")


class Table(MemoryNat):
    """With what these tests ask."""

    def rules(self, chain: str) -> list[str]:
        return self.chains[chain]

    def names(self) -> set[str]:
        """The service ports that have rules."""
        return {rule.split('"')[1] for chain in CHAINS for rule in self.chains[chain]}


class Lab:
    """A userspace mode over such a table."""

    def __init__(self, descriptors: int = 4096) -> None:
        self.table = Table()
        self.out = io.StringIO()
        self.events: list[str] = []
        self.relay = Relay(Balancer(), lambda *_, **__: None, lambda *_, **__: None, descriptors=descriptors)
        self.mode = Userspace(
            self.relay, self.table, Machine("0.0.0.0", "10.245.1.12"), Tracer("kube-proxy", self.out), self._event
        )
        self.services = {key(each): each for each in (service(f"s{n}", f"10.0.1.{n}", TCP80) for n in range(50))}

    def _event(self, about: Service, reason: str, _: str) -> None:
        self.events.append(f"{about.metadata.name} {reason}")

    async def put(self, *changed: Service, cause: str = "service updated") -> None:
        self.services |= {key(each): each for each in changed}
        await self.mode.sync(self.services, {key(each): cause for each in changed})

    async def delete(self, name: str) -> None:
        del self.services[name]
        await self.mode.sync(self.services, {name: "service deleted"})

    def said(self, decision: str, name: str) -> list[dict[str, object]]:
        lines = [msgspec.json.decode(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line.get("decision") == decision and f'"{name}"' in line["rule"]]


@contextmanager
def running(lab: Lab) -> Iterator[Lab]:
    carrying = threading.Thread(target=lab.relay.run)
    carrying.start()
    try:
        yield lab
    finally:
        lab.mode.close()
        lab.relay.stop()
        carrying.join(10)
        lab.relay.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running(Lab()) as made:
        yield made


async def test_one_changed_service_is_all_that_is_looked_at(lab: Lab) -> None:
    await lab.mode.sync(lab.services, {})
    assert (lab.table.reads, len(lab.table.written)) == (1, 1)
    await lab.put(service("new", "10.0.2.1", TCP80))
    await lab.put(service("s7", "10.0.1.7", ServicePort(port=81, protocol="TCP")))
    await lab.delete("default/s9")
    assert lab.table.reads == 1
    added, *changed, deleted = (text.splitlines()[1:-1] for text in lab.table.written[1:])
    assert [len(lines) for lines in (added, *changed, deleted)] == [2, 2, 2, 2]
    assert all('"default/new:"' in line and line.startswith("-A KUBE-PORTALS") for line in added)
    assert [line[:2] for lines in changed for line in lines] == ["-A", "-A", "-D", "-D"]  # never a moment without
    assert all('"default/s9:"' in line and line.startswith("-D") for line in deleted)
    assert lab.table.names() == {f"{name}:" for name in lab.services}
    assert [line["cause"] for line in lab.said("rule removed", "default/s9:")] == ["service deleted"] * 2
    assert len(lab.said("rule added", "default/s7:")) == 4


async def test_a_flushed_rule_among_the_changed_makes_it_look_at_everything(lab: Lab) -> None:
    await lab.mode.sync(lab.services, {})
    lab.table.chains["KUBE-PORTALS-HOST"].clear()
    await lab.delete("default/s9")
    assert lab.table.reads == 2
    assert lab.table.names() == {f"{name}:" for name in lab.services}
    assert len(lab.table.rules("KUBE-PORTALS-HOST")) == len(lab.services)


async def test_no_change_reads_the_table_and_writes_nothing(lab: Lab) -> None:
    await lab.mode.sync(lab.services, {})
    await lab.mode.sync(lab.services, {})
    assert (lab.table.reads, len(lab.table.written)) == (2, 1)


async def test_changes_without_end_do_not_keep_it_from_looking(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.components.kube_proxy.userspace.LOOK_SECONDS", 0.0)
    await lab.mode.sync(lab.services, {})
    lab.table.chains["KUBE-PORTALS-HOST"].clear()
    await lab.put(service("new", "10.0.2.1", TCP80))
    assert len(lab.table.rules("KUBE-PORTALS-HOST")) == len(lab.services)


async def test_another_protocol_or_no_cluster_ip_closes_the_local_port(lab: Lab) -> None:
    await lab.mode.sync(lab.services, {})
    await lab.put(service("s7", "10.0.1.7", ServicePort(port=80, protocol="UDP")))
    assert [rule for rule in lab.table.rules("KUBE-PORTALS-HOST") if "s7:" in rule and "-p tcp" in rule] == []
    assert len([rule for rule in lab.table.rules("KUBE-PORTALS-HOST") if "s7:" in rule and "-p udp" in rule]) == 1
    await lab.put(service("s7", "None", TCP80))
    assert "default/s7:" not in lab.table.names()
    assert lab.mode.service("default/s7:") is None


async def test_a_node_port_that_two_want_goes_over_when_the_first_lets_go(lab: Lab) -> None:
    port = ServicePort(port=80, protocol="TCP", node_port=_free_port())
    await lab.mode.sync(lab.services, {})
    await lab.put(service("first", "10.0.3.1", port))
    await lab.put(service("second", "10.0.3.2", port))
    assert lab.events == ["second NodePortNotAvailable"]
    assert len(lab.table.rules("KUBE-NODEPORT-HOST")) == 1
    await lab.delete("default/first")
    await lab.mode.sync(lab.services, {})
    (rule,) = lab.table.rules("KUBE-NODEPORT-HOST")
    assert '"default/second:"' in rule


async def test_more_services_than_open_files_cost_only_those_beyond() -> None:
    with running(Lab(descriptors=SPARE_DESCRIPTORS + 40)) as lab:
        await lab.mode.sync(lab.services, {})
        assert len(lab.table.names()) == lab.relay.port_limit == 30
        assert {event.partition(" ")[2] for event in lab.events} == {"LocalPortNotAvailable"}
        assert len(lab.events) == len(lab.services) - 30
        (served, *_) = sorted(lab.table.names())
        await lab.delete(served.rstrip(":"))
        await lab.mode.sync(lab.services, {})
        assert len(lab.table.names()) == 30, "the place of the one that went is taken"


def _free_port() -> int:
    """Below the range from which local ports are taken by chance."""
    for port in range(30000, 32000):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("0.0.0.0", port))
            return port
    raise AssertionError("no free port from 30000 to 32000")


def test_local_ports_are_tried_by_chance_within_the_kernel_s_range() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    tried = list(local_ports.candidates(4711))
    assert (tried[0], tried[-1]) == (4711, 0)
    assert all(first <= port <= last for port in tried[1:-1])
    assert 0 not in list(local_ports.candidates())[:-1]


async def test_an_endpoint_must_be_no_service_but_may_be_another_port_of_an_external_address(lab: Lab) -> None:
    refuses = lab.relay.refuses
    await lab.put(service("web", "10.0.1.200", TCP80, external_ips=["192.0.2.50"]))
    assert refuses(Address("10.0.1.200", 1234))
    assert refuses(Address("192.0.2.50", 80))
    assert not refuses(Address("192.0.2.50", 6443)), "the machine with that address serves other things too"
    assert not refuses(Address("10.0.9.9", 80))
    await lab.delete("default/web")
    assert not refuses(Address("10.0.1.200", 1234))
    assert not refuses(Address("192.0.2.50", 80))

    limited = Relay(Balancer(), lambda *_, **__: None, lambda *_, **__: None)
    Userspace(
        limited, lab.table, Machine("0.0.0.0", "10.245.1.12"), Tracer("kube-proxy", lab.out), lab._event, "10.0.0.0/16"
    )
    assert limited.refuses(Address("10.0.9.9", 80))
    limited.close()
