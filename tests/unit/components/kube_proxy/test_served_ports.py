"""From services and endpoints to what the kernel modes need, names of chains, and UDP flows that must be forgotten."""

import struct

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
from labkit.components.kube_proxy import conntrack, generation
from labkit.components.kube_proxy.balancer import Address
from labkit.components.kube_proxy.chain_names import endpoint_chain, nft_endpoint_suffix, nft_suffix, service_chain
from labkit.components.kube_proxy.conntrack import Flow
from labkit.components.kube_proxy.served_ports import Claims, ServedPort, served_ports
from tests.unit.components.kube_proxy.served import OPEN, WEB

META = ObjectMeta(name="web", namespace="default")
HTTP = ServicePort(name="http", port=80, protocol="TCP", node_port=30080)


def service(*ports: ServicePort, ip: str = "10.0.0.12", **spec: object) -> Service:
    return Service(metadata=META, spec=ServiceSpec(cluster_ip=ip, ports=list(ports), **spec))  # type: ignore[arg-type]


def endpoints(*ips: str, name: str = "http") -> Endpoints:
    ready = [EndpointAddress(ip=ip) for ip in ips]
    return Endpoints(metadata=META, subsets=[EndpointSubset(addresses=ready, ports=[EndpointPort(name, 8000, "TCP")])])


def test_a_service_port_with_everything() -> None:
    given = service(HTTP, session_affinity="ClientIP", external_ips=["192.0.2.9"], deprecated_public_ips=["192.0.2.8"])
    (port,) = served_ports(given, endpoints("10.244.2.3", "10.244.2.2")).values()
    backends = (Address("10.244.2.2", 8000), Address("10.244.2.3", 8000))
    expected = ServedPort(
        "default/web:http", "tcp", "10.0.0.12", 80, ("192.0.2.8", "192.0.2.9"), 30080, True, backends
    )  # fmt: skip
    assert port == expected


def test_headless_gone_and_unmatched() -> None:
    assert served_ports(service(HTTP, ip="None"), endpoints("10.244.2.2")) == {}
    assert served_ports(None, endpoints("10.244.2.2")) == {}
    assert served_ports(service(HTTP), endpoints("10.244.2.2", name="other"))["default/web:http"].endpoints == ()


def test_endpoints_that_would_lead_in_circles_are_left_out() -> None:
    (port,) = served_ports(service(HTTP), endpoints("127.0.0.1", "10.0.0.9", "10.244.2.2"), {"10.0.0.9"}).values()
    assert [each.ip for each in port.endpoints] == ["10.244.2.2"]


def test_the_first_to_claim_an_address_keeps_it() -> None:
    claims = Claims()
    twin = ServedPort("default/twin:", "udp", "10.0.0.77", 53, ("192.0.2.50",), 30053)
    assert claims.claim(OPEN) == (OPEN, "")
    granted, trouble = claims.claim(twin)
    assert granted == ServedPort("default/twin:", "udp", "10.0.0.77", 53)
    assert trouble == "192.0.2.50:53 belongs to default/open:, node port:30053 belongs to default/open:"
    claims.release([OPEN])
    assert claims.claim(twin) == (twin, "")
    assert claims.claim(ServedPort("default/thief:", "udp", "10.0.0.77", 53))[0] is None


@pytest.mark.parametrize(
    ("name", "protocol", "chain"),
    [
        ("default/kubernetes:https", "tcp", "KUBE-SVC-NPX46M4PTMTKRN6Y"),
        ("kube-system/kube-dns:dns", "udp", "KUBE-SVC-TCOU7JCQXEZGVUNU"),
        ("kube-system/kube-dns:dns-tcp", "tcp", "KUBE-SVC-ERIFXISQEP7F7OF4"),
    ],
)
def test_chains_have_the_names_that_they_have_in_every_cluster(name: str, protocol: str, chain: str) -> None:
    assert service_chain(ServedPort(name, protocol, "10.0.0.1", 443)) == chain


def test_names_differ_by_endpoint_and_fit_into_the_kernel() -> None:
    assert len({endpoint_chain(WEB, endpoint) for endpoint in WEB.endpoints}) == 3
    assert nft_suffix(WEB).endswith("-default/web/tcp/")
    long = ServedPort(f"{'n' * 63}/{'s' * 63}:{'p' * 63}", "tcp", "10.0.0.1", 443)
    assert len(f"endpoint-{nft_endpoint_suffix(long, Address('10.244.200.200', 65535))}") < 256


LISTING = """\
udp      17 29 src=10.244.2.3 dst=10.0.0.14 sport=4001 dport=53 src=10.244.2.2 dst=10.244.2.3 sport=8000 dport=4001 mark=0 use=1
udp      17 9 src=10.244.2.3 dst=10.0.0.14 sport=4002 dport=53 [UNREPLIED] src=10.244.9.9 dst=10.244.2.3 sport=8000 dport=4002 mark=0 use=1
udp      17 9 src=10.244.2.3 dst=10.0.0.14 sport=4003 dport=53 [UNREPLIED] src=10.0.0.14 dst=10.244.2.3 sport=53 dport=4003 mark=0 use=1
udp      17 9 src=10.245.1.9 dst=10.245.1.12 sport=4004 dport=30053 src=10.244.9.9 dst=10.245.1.9 sport=8000 dport=4004 mark=0 use=1
udp      17 9 src=10.245.1.9 dst=10.245.1.13 sport=4005 dport=30053 src=10.245.1.13 dst=10.245.1.9 sport=30053 dport=4005 mark=0 use=1
udp      17 9 src=10.245.1.9 dst=10.245.1.11 sport=4006 dport=123 src=10.245.1.11 dst=10.245.1.9 sport=123 dport=4006 mark=0 use=1
"""  # noqa: E501, as conntrack prints it


def test_flows_that_are_led_to_no_endpoint_are_stale() -> None:
    flows = conntrack.parse(LISTING)
    assert len(flows) == 6
    stale = conntrack.stale(flows, conntrack.backends([OPEN, WEB]))
    assert [flow.client.port for flow in stale] == [4002, 4003, 4004]
    assert conntrack.stale(flows, {}) == []
    flow = Flow(Address("1.1.1.1", 5), Address("2.2.2.2", 53), Address("3.3.3.3", 53))
    assert conntrack.deletions([flow]) == "-D -p udp -s 1.1.1.1 -d 2.2.2.2 --sport 5 --dport 53\n"


def test_the_generation_is_read_from_the_kernel_s_answer() -> None:
    attributes = struct.pack("=HH", 8, 3) + b"\0\0\0\7" + struct.pack("=HH", 8, 1) + (772).to_bytes(4, "big")
    assert generation.parse(bytes(20) + attributes) == 772
    assert generation.parse(bytes(20) + struct.pack("=HH", 8, 3) + bytes(4)) is None
    assert generation.parse(b"") is None
