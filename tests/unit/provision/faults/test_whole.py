"""What is not yet as it should be."""

from labkit.api.types import (
    Condition,
    EndpointAddress,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Pod,
    PodStatus,
    ReplicationController,
    ReplicationControllerSpec,
    Service,
    ServiceSpec,
)
from labkit.provision.faults.whole import short_of_pods, wrong_endpoints


def pod(ip: str, phase: str = "Running", ready: str = "True", **labels: str) -> Pod:
    meta = ObjectMeta(name=f"p{ip}", namespace="default", labels=labels or {"app": "web"})
    return Pod(
        metadata=meta, status=PodStatus(phase=phase, pod_ip=ip, conditions=[Condition(type="Ready", status=ready)])
    )


def rc(replicas: int) -> ReplicationController:
    spec = ReplicationControllerSpec(replicas=replicas, selector={"app": "web"})
    return ReplicationController(metadata=ObjectMeta(name="web", namespace="default"), spec=spec)


def service(**selector: str) -> Service:
    return Service(metadata=ObjectMeta(name="web", namespace="default"), spec=ServiceSpec(selector=selector))


def endpoints(*ips: str) -> Endpoints:
    subsets = [EndpointSubset(addresses=[EndpointAddress(ip=ip) for ip in ips])]
    return Endpoints(metadata=ObjectMeta(name="web", namespace="default"), subsets=subsets)


def test_a_controller_is_whole_with_as_many_ready_pods_as_it_wants() -> None:
    assert list(short_of_pods([rc(2)], [pod("1"), pod("2"), pod("3", app="other")])) == []
    assert list(short_of_pods([rc(2)], [pod("1"), pod("2", ready="False")])) == [
        "rc default/web: 1 of 2 pods are ready"
    ]
    assert list(short_of_pods([rc(1)], [pod("1"), pod("2")])) == ["rc default/web: 2 of 1 pods are ready"]


def test_a_pod_that_is_being_deleted_does_not_count() -> None:
    leaving = pod("1")
    leaving.metadata.deletion_timestamp = "2026-01-01T00:00:00Z"
    assert list(short_of_pods([rc(1)], [leaving])) == ["rc default/web: 0 of 1 pods are ready"]


def test_endpoints_are_whole_when_they_are_the_ready_pods() -> None:
    pods = [pod("1"), pod("2"), pod("3", ready="False")]
    assert list(wrong_endpoints([service(app="web")], [endpoints("2", "1")], pods)) == []
    assert list(wrong_endpoints([service(app="web")], [endpoints("1", "3")], pods)) == [
        "endpoints default/web: ['1', '3'], the ready pods are ['1', '2']"
    ]
    assert list(wrong_endpoints([service(app="web")], [], pods)) != []
    assert list(wrong_endpoints([service()], [], pods)) == [], "endpoints made by hand are nobody's business"
