"""Endpoints that no connection is led to are told once, on their Service."""

import io

import msgspec

from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Service,
    ServicePort,
    key,
)
from labkit.components.kube_proxy.unusable import Unusable
from labkit.trace import Tracer
from tests.unit.components.kube_proxy.test_iptables import service

TCP80 = ServicePort(port=80, protocol="TCP")


def endpoints(name: str, *ips: str) -> Endpoints:
    subset = EndpointSubset(addresses=[EndpointAddress(ip=ip) for ip in ips], ports=[EndpointPort(port=8000)])
    return Endpoints(metadata=ObjectMeta(name=name, namespace="default"), subsets=[subset])


class Lab:
    """Services and endpoints that come in any order; what was told."""

    def __init__(self, network: str = "") -> None:
        self.out, self.events = io.StringIO(), list[tuple[str, str, str]]()
        self.unusable = Unusable(Tracer("kube-proxy", self.out), self._event, network)
        self.services: dict[str, Service] = {}
        self.endpoints: dict[str, Endpoints] = {}

    def _event(self, about: Service, reason: str, message: str) -> None:
        self.events.append((key(about), reason, message))

    def serve(self, name: str, ip: str) -> None:
        made = service(name, ip, TCP80)
        self.unusable.service_changed(self.services.get(key(made)), made)
        self.services[key(made)] = made
        self._tell()

    def delete(self, name: str) -> None:
        self.unusable.service_changed(self.services.pop(f"default/{name}"), None)
        self._tell()

    def endpoints_of(self, name: str, *ips: str) -> None:
        made = endpoints(name, *ips)
        self.unusable.endpoints_changed(self.endpoints.get(key(made)), made)
        self.endpoints[key(made)] = made
        self._tell()

    def _tell(self) -> None:
        self.unusable.tell(self.services, self.endpoints)
        self.unusable.tell(self.services, self.endpoints)  # nothing is told twice


def test_loopback_and_service_addresses_are_an_event_and_a_warning_once() -> None:
    lab = Lab()
    events, out = lab.events, lab.out
    lab.serve("web", "10.0.0.12")
    lab.serve("db", "10.0.0.13")

    def put(*ips: str) -> None:
        lab.endpoints_of("db", *ips)

    put("10.244.1.2")
    assert events == []
    put("10.244.1.2", "127.0.0.1", "10.0.0.12")
    put("10.244.1.3", "127.0.0.1", "10.0.0.12")  # the same two
    ((about, reason, message),) = events
    assert (about, reason) == ("default/db", "EndpointNotUsable")
    assert "127.0.0.1 is loopback or no IPv4 address, 10.0.0.12 is a service's address" in message
    assert [msgspec.json.decode(line)["level"] for line in out.getvalue().splitlines()] == ["warning"]
    put("10.244.1.2")
    put("127.0.0.1")
    assert len(events) == 2
    put(*(f"127.0.0.{n}" for n in range(1, 10)))
    assert "and 4 more" in events[-1][2]


def test_endpoints_that_are_gone_or_have_no_service_disturb_nothing() -> None:
    lab = Lab()
    lab.unusable.endpoints_changed(endpoints("db", "127.0.0.1"), None)
    lab.unusable.tell({}, {})
    lab.endpoints_of("db", "127.0.0.1")
    assert lab.out.getvalue() == ""
    lab.serve("db", "10.0.0.13")
    lab.serve("db", "10.0.0.13")
    assert [about for about, *_ in lab.events] == ["default/db"], "endpoints that were there before their service"
    lab.delete("db")
    lab.serve("db", "10.0.0.13")
    assert len(lab.events) == 2, "the new service has not heard of it"


def test_an_address_of_the_service_range_needs_no_service() -> None:
    lab = Lab(network="10.0.0.0/16")
    lab.serve("db", "10.0.0.13")
    lab.endpoints_of("db", "10.0.99.1", "10.1.0.1")
    ((_, _, message),) = lab.events
    assert "10.0.99.1 is in the service range 10.0.0.0/16; name" in message
    lab.serve("late", "10.0.99.1")
    assert len(lab.events) == 1


def test_a_service_that_is_made_later_has_the_address_of_an_endpoint() -> None:
    lab = Lab()
    lab.serve("db", "10.0.0.13")
    lab.endpoints_of("db", "10.0.0.14")
    assert lab.events == []
    lab.serve("late", "10.0.0.14")
    ((about, _, message),) = lab.events
    assert (about, "10.0.0.14 is a service's address" in message) == ("default/db", True)
    lab.delete("late")
    lab.serve("late", "10.0.0.14")
    assert len(lab.events) == 2, "it was good in between"
