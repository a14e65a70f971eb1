"""The kernel modes' loop over a firewall in memory: which endpoints a service port has, whatever came first."""

import io
from collections.abc import Iterator

import pytest

from labkit.api.types import Endpoints, Service, ServicePort, key
from labkit.components.kube_proxy import conntrack, kernel
from labkit.components.kube_proxy.kernel import Kernel
from labkit.components.kube_proxy.rules import Contents, Rule
from labkit.components.kube_proxy.served_ports import ServedPort
from labkit.trace import Tracer
from tests.unit.components.kube_proxy.test_iptables import service
from tests.unit.components.kube_proxy.test_unusable import TCP80, endpoints


class MemoryFirewall:
    """A line for each endpoint of a service port."""

    name = "memory"
    containers = ()

    def __init__(self) -> None:
        self.lines: Contents = {}

    def frame(self) -> list[Rule]:
        return []

    def rules(self, port: ServedPort) -> Iterator[Rule]:
        return (Rule(port.name, each.ip, self.rules, port.service) for each in port.endpoints)

    async def check(self) -> None:
        pass

    async def repair(self, want: Contents) -> int:
        self.lines = dict(want)
        return 1

    async def patch(self, old: Contents, new: Contents) -> int:
        for name in old:
            self.lines.pop(name, None)
        self.lines |= new
        return int(old != new)

    async def remove(self) -> bool:
        return True


class Lab:
    """A kernel mode over such a firewall."""

    def __init__(self, network: str = "") -> None:
        self.firewall = MemoryFirewall()
        self.events: list[tuple[str, str]] = []
        tell = Tracer("kube-proxy", io.StringIO())
        self.kernel = Kernel(self.firewall, "127.0.0.1", tell, self._event, network)
        self.services: dict[str, Service] = {}

    def _event(self, about: Service, reason: str, message: str) -> None:
        self.events.append((f"{about.metadata.name} {reason}", message))

    async def serve(self, name: str, ip: str, *ports: ServicePort) -> None:
        made = service(name, ip, *(ports or (TCP80,)))
        self.services[key(made)] = made
        await self.kernel.sync(self.services, {key(made): "service added"})

    async def delete(self, name: str) -> None:
        del self.services[f"default/{name}"]
        await self.kernel.sync(self.services, {f"default/{name}": "service deleted"})

    async def endpoints_of(self, name: str, *ips: str) -> None:
        made: Endpoints = endpoints(name, *ips)
        self.kernel.endpoints_changed(None, made)
        await self.kernel.sync(self.services, {})


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def clear(wanted: object) -> list[conntrack.Flow]:
        return []

    monkeypatch.setattr(conntrack, "clear", clear)
    monkeypatch.setattr(kernel, "generation", lambda: None)


async def test_an_endpoint_that_becomes_a_service_s_address_is_left_out_until_it_is_none() -> None:
    lab = Lab()
    await lab.endpoints_of("a", "10.0.0.200", "10.244.1.2")
    await lab.serve("a", "10.0.0.5")
    assert lab.firewall.lines["default/a:"] == ["10.0.0.200", "10.244.1.2"]
    await lab.serve("b", "10.0.0.200")
    assert lab.firewall.lines["default/a:"] == ["10.244.1.2"]
    await lab.serve("b", "10.0.0.201")
    assert lab.firewall.lines["default/a:"] == ["10.0.0.200", "10.244.1.2"]
    await lab.serve("c", "10.0.0.200")
    await lab.serve("d", "10.0.0.200")
    await lab.delete("c")
    assert lab.firewall.lines["default/a:"] == ["10.244.1.2"], "d has it still"
    await lab.delete("d")
    assert lab.firewall.lines["default/a:"] == ["10.0.0.200", "10.244.1.2"]


async def test_no_endpoint_is_in_the_service_range() -> None:
    lab = Lab(network="10.0.0.0/16")
    await lab.endpoints_of("a", "10.0.0.200", "10.1.0.200")
    await lab.serve("a", "10.0.0.5")
    assert lab.firewall.lines["default/a:"] == ["10.1.0.200"]


async def test_what_moved_is_not_forgotten_when_the_rules_could_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab()
    await lab.endpoints_of("a", "10.0.0.200", "10.244.1.2")
    await lab.serve("a", "10.0.0.5")

    async def refused(*_: object) -> int:
        raise kernel.RulesFailed("the table is locked")

    with monkeypatch.context() as broken:
        broken.setattr(lab.firewall, "patch", refused)
        broken.setattr(lab.firewall, "repair", refused)
        with pytest.raises(kernel.RulesFailed):
            await lab.serve("b", "10.0.0.200")
    await lab.kernel.sync(lab.services, {})
    assert lab.firewall.lines["default/a:"] == ["10.244.1.2"]


async def test_a_node_port_belongs_to_the_first_until_it_lets_go() -> None:
    lab = Lab()
    wanted = ServicePort(port=80, protocol="TCP", node_port=30080)
    await lab.serve("first", "10.0.0.5", wanted)
    await lab.serve("second", "10.0.0.6", wanted)
    await lab.serve("udp", "10.0.0.7", ServicePort(port=80, protocol="UDP", node_port=30080))
    (event,) = lab.events
    assert event == ("second AddressNotAvailable", "node port:30080 belongs to default/first:")
    held = {name: port.node_port for group in lab.kernel._ports.values() for name, port in group.items()}
    assert held == {"default/first:": 30080, "default/second:": 0, "default/udp:": 30080}
    await lab.delete("first")
    await lab.kernel.sync(lab.services, {})
    assert lab.kernel._ports["default/second"]["default/second:"].node_port == 30080
    lab.kernel.close()
