"""Rules of a machine beside the Endpoints, in each of the proxy's modes."""

import pytest

from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.provision.faults.rules import wanted_ends, wrong

META = ObjectMeta(name="web", namespace="default")
SERVICE = Service(
    metadata=META, spec=ServiceSpec(cluster_ip="10.0.0.11", ports=[ServicePort(name="http", port=80, protocol="TCP")])
)
HEADLESS = Service(
    metadata=ObjectMeta(name="db", namespace="default"),
    spec=ServiceSpec(cluster_ip="None", ports=[ServicePort(port=5432)]),
)


def endpoints(*ips: str) -> Endpoints:
    addresses = [EndpointAddress(ip=ip) for ip in ips]
    return Endpoints(
        metadata=META, subsets=[EndpointSubset(addresses=addresses, ports=[EndpointPort(name="http", port=8080)])]
    )


USERSPACE = """\
-A KUBE-PORTALS-CONTAINER -d 10.0.0.11/32 -p tcp -m comment --comment "default/web:http" -m tcp --dport 80 -j REDIRECT
-A KUBE-PORTALS-HOST -d 10.0.0.11/32 -p tcp -m comment --comment "default/web:http" -m tcp --dport 80 -j DNAT
"""
IPTABLES = """\
-A KUBE-SERVICES -d 10.0.0.11/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-X
-A KUBE-SEP-AAAA -s 10.244.2.7/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ
-A KUBE-SEP-AAAA -p tcp -m comment --comment "default/web:http" -m tcp -j DNAT --to-destination 10.244.2.7:8080
"""
NFTABLES = """\
chain service-ULMVA6XW-default/web/tcp/http {
    numgen random mod 1 vmap { 0 : goto endpoint-5OJB2KTY-default/web/tcp/http__10.244.2.7/8080 }
}
"""
PRINTED = {"userspace": USERSPACE, "iptables": IPTABLES, "nftables": NFTABLES}


def test_a_service_port_leads_to_its_endpoints_a_headless_service_nowhere() -> None:
    assert wanted_ends([SERVICE, HEADLESS], [endpoints("1.1.1.1")]) == {"default/web:http": {"1.1.1.1:8080"}}
    assert wanted_ends([SERVICE], []) == {"default/web:http": set()}


@pytest.mark.parametrize("mode", PRINTED)
def test_rules_that_are_right(mode: str) -> None:
    assert list(wrong(mode, [SERVICE, HEADLESS], [endpoints("10.244.2.7")], PRINTED[mode])) == []


@pytest.mark.parametrize("mode", PRINTED)
def test_rules_that_are_missing(mode: str) -> None:
    assert list(wrong(mode, [SERVICE], [endpoints("10.244.2.7")], "")) != []


@pytest.mark.parametrize("mode", PRINTED)
def test_rules_of_a_service_that_is_gone(mode: str) -> None:
    assert list(wrong(mode, [], [], PRINTED[mode])) != []


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_an_endpoint_that_is_gone_or_new(mode: str) -> None:
    assert list(wrong(mode, [SERVICE], [endpoints("10.244.2.8")], PRINTED[mode])) == [
        "the rules lead default/web:http to ['10.244.2.7:8080'], its endpoints are ['10.244.2.8:8080']"
    ]
