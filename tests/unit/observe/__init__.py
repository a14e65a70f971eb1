"""Three machines, services and pods, and what a probe saw: literals for the tests of `labkit packet`."""

from pathlib import Path

import msgspec

from labkit import cluster as clusters
from labkit.api.types import (
    Condition,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.cluster import Cluster
from labkit.observe.objects import Objects
from labkit.probe.report import Report

HERE = Path(__file__).parent


def lab() -> Cluster:
    """master 10.245.1.11, agent1 .12 with pods 10.244.2.0/24, agent2 .13 with pods 10.244.3.0/24."""
    return clusters.fresh("lab", "10.245.1.0/24")


def pod(name: str, node: str = "", ip: str = "", phase: str = "Running", /, **labels: str) -> Pod:
    ready = [Condition(type="Ready", status="True")] if phase == "Running" else []
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default", labels=labels),
        spec=PodSpec(node_name=node),
        status=PodStatus(phase=phase, pod_ip=ip, conditions=ready),
    )


def service(name: str, ip: str, *ports: ServicePort, **spec: object) -> Service:
    meta = ObjectMeta(name=name, namespace="default")
    return Service(metadata=meta, spec=ServiceSpec(cluster_ip=ip, ports=list(ports), **spec))  # type: ignore[arg-type]


def endpoints(name: str, port: int, *ips: str) -> Endpoints:
    subset = EndpointSubset(addresses=[EndpointAddress(ip=ip) for ip in ips], ports=[EndpointPort(port=port)])
    return Endpoints(metadata=ObjectMeta(name=name, namespace="default"), subsets=[subset] if ips else [])


def objects() -> Objects:
    return Objects(
        pods=[
            pod("client", "agent1", "10.244.2.7"),
            pod("redis-master", "agent2", "10.244.3.5", name="redis-master"),
            pod("waiting", "", "", "Pending", name="nobody"),
        ],
        services=[
            service(
                "redis-master", "10.0.0.11", ServicePort(port=6379, protocol="TCP"), selector={"name": "redis-master"}
            ),
            service(
                "web", "10.0.0.12", ServicePort(port=80, node_port=30080, protocol="TCP"), selector={"name": "nobody"}
            ),
            service(
                "two",
                "10.0.0.13",
                ServicePort(name="a", port=1, protocol="TCP"),
                ServicePort(name="b", port=2, protocol="TCP"),
            ),
            service("headless", "None", ServicePort(port=80, protocol="TCP")),
            service(
                "public", "10.0.0.14", ServicePort(port=8080, protocol="TCP"), deprecated_public_ips=["10.245.1.13"]
            ),
        ],
        endpoints=[endpoints("redis-master", 6379, "10.244.3.5"), endpoints("web", 80)],
    )


def recorded(name: str) -> Report:
    """A report as the probe wrote it on a machine."""
    return msgspec.json.decode((HERE / "recorded" / f"{name}.json").read_bytes(), type=Report)
