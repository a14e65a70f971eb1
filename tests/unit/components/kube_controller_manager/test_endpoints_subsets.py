"""The addresses behind a service, with literals."""

from labkit.api.subsets import repack
from labkit.api.types import (
    Condition,
    Container,
    ContainerPort,
    EndpointAddress,
    EndpointPort,
    EndpointSubset,
    ObjectMeta,
    ObjectReference,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.components.kube_controller_manager.endpoints import subsets, target_port

REDIS = {"app": "redis-master"}


def service(*ports: ServicePort, selector: dict[str, str] = REDIS) -> Service:
    return Service(
        metadata=ObjectMeta(name="redis-master", namespace="default"),
        spec=ServiceSpec(selector=selector, ports=list(ports)),
    )


def pod(ip: str, *ports: ContainerPort, ready: bool = True, **meta: str) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=f"p-{ip}", namespace="default", uid=f"u-{ip}", labels=REDIS, **meta),
        spec=PodSpec(containers=[Container(name="c", image="redis", ports=list(ports))]),
        status=PodStatus(
            phase="Running", pod_ip=ip, conditions=[Condition(type="Ready", status="True" if ready else "False")]
        ),
    )


def address(ip: str) -> EndpointAddress:
    return EndpointAddress(
        ip=ip, target_ref=ObjectReference(kind="Pod", namespace="default", name=f"p-{ip}", uid=f"u-{ip}")
    )


PORT = ServicePort(port=6379, target_port=6379, protocol="TCP")


def test_ready_pods_with_an_address() -> None:
    pods = [pod("10.244.3.7"), pod("10.244.2.5"), pod("10.244.2.6", ready=False), pod("")]
    assert subsets(service(PORT), pods) == [
        EndpointSubset(
            addresses=[address("10.244.2.5"), address("10.244.3.7")],
            not_ready_addresses=[address("10.244.2.6")],
            ports=[EndpointPort(port=6379, protocol="TCP")],
        )
    ]


def test_no_pods_no_subsets() -> None:
    assert subsets(service(PORT), []) == []


def test_the_order_of_the_pods_does_not_matter() -> None:
    pods = [pod(f"10.244.2.{n}") for n in (9, 3, 7, 5)]
    found = subsets(service(PORT), pods)
    assert found == subsets(service(PORT), pods[::-1])
    assert found == repack(found)  # as the API server will store it


def test_pods_that_are_over_or_leaving_are_none() -> None:
    over, leaving = pod("10.244.2.5"), pod("10.244.2.6", deletion_timestamp="2015-06-01T00:00:00Z")
    over.status.phase = "Succeeded"
    assert subsets(service(PORT), [over, leaving]) == []


def test_a_named_target_port_is_each_pods_own_number() -> None:
    named = ServicePort(name="web", port=80, target_port="http", protocol="TCP")
    first, second = ContainerPort(name="http", container_port=8080), ContainerPort(name="http", container_port=9090)
    without = ContainerPort(name="other", container_port=7070)
    found = subsets(service(named), [pod("10.0.1.2", second), pod("10.0.1.1", first), pod("10.0.1.3", without)])
    assert found == [
        EndpointSubset(addresses=[address("10.0.1.1")], ports=[EndpointPort(name="web", port=8080, protocol="TCP")]),
        EndpointSubset(addresses=[address("10.0.1.2")], ports=[EndpointPort(name="web", port=9090, protocol="TCP")]),
    ]


def test_several_ports_are_one_subset() -> None:
    dns = [ServicePort(name=name, port=53, target_port=53, protocol=proto) for name, proto in
           (("dns-tcp", "TCP"), ("dns", "UDP"))]  # fmt: skip
    found = subsets(service(*dns), [pod("10.0.1.1")])
    assert [(port.name, port.protocol) for port in found[0].ports] == [("dns-tcp", "TCP"), ("dns", "UDP")]


def test_target_port() -> None:
    udp = ContainerPort(name="dns", container_port=5353, protocol="UDP")
    assert target_port(ServicePort(port=80), pod("10.0.1.1")) == 80
    assert target_port(ServicePort(port=80, target_port=8080), pod("10.0.1.1")) == 8080
    assert target_port(ServicePort(port=53, target_port="dns", protocol="UDP"), pod("10.0.1.1", udp)) == 5353
    assert target_port(ServicePort(port=53, target_port="dns", protocol="TCP"), pod("10.0.1.1", udp)) is None


def test_a_service_without_selector_selects_nothing() -> None:
    assert subsets(service(PORT, selector={}), [pod("10.0.1.1")]) == []
