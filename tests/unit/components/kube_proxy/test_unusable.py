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


def test_loopback_and_service_addresses_are_an_event_and_a_warning_once() -> None:
    out, events = io.StringIO(), list[tuple[str, str, str]]()
    unusable = Unusable(Tracer("kube-proxy", out), lambda about, *what: events.append((key(about), *what)))
    services: dict[str, Service] = {
        key(each): each for each in (service("web", "10.0.0.12", TCP80), service("db", "10.0.0.13", TCP80))
    }

    def put(*ips: str) -> None:
        group = endpoints("db", *ips)
        unusable.endpoints_changed(None, group)
        unusable.tell(services, {key(group): group})

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
    out = io.StringIO()
    unusable = Unusable(Tracer("kube-proxy", out), lambda *_: None)
    unusable.endpoints_changed(endpoints("db", "127.0.0.1"), None)
    unusable.tell({}, {})
    unusable.endpoints_changed(None, endpoints("db", "127.0.0.1"))
    unusable.tell({}, {"default/db": endpoints("db", "127.0.0.1")})
    assert out.getvalue().count("\n") == 1
