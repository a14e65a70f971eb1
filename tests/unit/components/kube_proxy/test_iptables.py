"""The rules that are rendered, against literals and against those of the original."""

import pytest

from labkit.api.types import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from labkit.components.kube_proxy import iptables
from labkit.components.kube_proxy.iptables import FIRST, LAST, Portal, portal_ips, render
from labkit.components.kube_proxy.userspace import service_ports
from tests.unit.components.kube_proxy import recorded

NODE = "10.245.1.12"


def service(name: str, ip: str, *ports: ServicePort, **spec: object) -> Service:
    meta = ObjectMeta(name=name, namespace="default")
    return Service(metadata=meta, spec=ServiceSpec(cluster_ip=ip, ports=list(ports), **spec))  # type: ignore[arg-type]


def portals(services: list[Service]) -> list[Portal]:
    wanted = service_ports(services).values()
    return [Portal(each, port, 34000 + n, port.node_port or 0) for n, (each, port) in enumerate(wanted)]


def test_one_service_port_has_a_rule_for_pods_and_one_for_the_machine() -> None:
    redis = service("redis-master", "10.0.0.11", ServicePort(port=6379, protocol="TCP"))
    assert [str(rule) for rule in render([Portal(redis, redis.spec.ports[0], 34273)], "0.0.0.0", NODE)] == [
        '-A KUBE-PORTALS-CONTAINER -d 10.0.0.11/32 -p tcp -m comment --comment "default/redis-master:" '
        "-m tcp --dport 6379 -j REDIRECT --to-ports 34273",
        '-A KUBE-PORTALS-HOST -d 10.0.0.11/32 -p tcp -m comment --comment "default/redis-master:" '
        f"-m tcp --dport 6379 -j DNAT --to-destination {NODE}:34273",
    ]


def test_udp_and_a_node_port() -> None:
    dns = service("dns", "10.0.0.10", ServicePort(name="dns", port=53, protocol="UDP"), type="NodePort")
    assert [str(rule) for rule in render([Portal(dns, dns.spec.ports[0], 35796, 30053)], "0.0.0.0", NODE)][2:] == [
        '-A KUBE-NODEPORT-CONTAINER -p udp -m comment --comment "default/dns:dns" '
        "-m udp --dport 30053 -j REDIRECT --to-ports 35796",
        '-A KUBE-NODEPORT-HOST -p udp -m comment --comment "default/dns:dns" '
        f"-m udp --dport 30053 -j DNAT --to-destination {NODE}:35796",
    ]


def test_nothing_to_render() -> None:
    headless = service("headless", "None", ServicePort(port=80))
    assert service_ports([headless, service("new", "", ServicePort(port=80))]) == {}
    assert render([], "0.0.0.0", NODE) == []


def test_every_public_address_once_and_no_bad_one() -> None:
    web = service(
        "web",
        "10.0.0.11",
        deprecated_public_ips=["10.245.1.100"],
        public_ips=["10.245.1.100"],
        external_ips=["x", "1::1"],
    )
    web.status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=[LoadBalancerIngress(ip="10.245.1.101")]))
    assert portal_ips(web) == ["10.0.0.11", "10.245.1.100", "10.245.1.101"]


def test_each_rule_names_the_function_that_made_it() -> None:
    made = {rule.chain: rule.made_by for rule in render(portals(recorded.services("everywhere")), "0.0.0.0", NODE)}
    assert made == {
        "KUBE-PORTALS-CONTAINER": iptables.container_portal,
        "KUBE-PORTALS-HOST": iptables.host_portal,
        "KUBE-NODEPORT-CONTAINER": iptables.container_node_port,
        "KUBE-NODEPORT-HOST": iptables.host_node_port,
    }


@pytest.mark.parametrize(
    ("section", "bind_address"),
    [("everywhere", "0.0.0.0"), ("after deletion", "0.0.0.0"), ("bound to one address", NODE)],
)
def test_the_rules_are_those_of_the_original(section: str, bind_address: str) -> None:
    rendered = render(portals(recorded.services(section)), bind_address, NODE)
    ours = [recorded.anonymous(str(rule), NODE) for rule in [*FIRST, *LAST, *rendered]]
    assert sorted(ours) == sorted(recorded.rules(section))
