"""What is used of a quota."""

from labkit.api.types import (
    Container,
    Pod,
    PodSpec,
    PodStatus,
    ResourceQuota,
    ResourceQuotaSpec,
    ResourceQuotaStatus,
    ResourceRequirements,
)
from labkit.components.kube_controller_manager.quotas import is_less, usage


def pod(phase: str, cpu: str, memory: str) -> Pod:
    container = Container(name="c", resources=ResourceRequirements(limits={"cpu": cpu, "memory": memory}))
    return Pod(spec=PodSpec(containers=[container]), status=PodStatus(phase=phase))


def test_usage() -> None:
    hard = {"pods": "3", "cpu": "2", "memory": "1Gi", "services": "5", "example.com/other": "1"}
    pods = [pod("Running", "500m", "64Mi"), pod("Pending", "250m", "1Mi"), pod("Failed", "2", "1Gi")]
    status = usage(ResourceQuota(spec=ResourceQuotaSpec(hard=dict(hard))), pods, {"services": 4})
    assert status.hard == hard
    assert status.used == {"pods": "2", "cpu": "750m", "memory": "65Mi", "services": "4"}


def test_less_is_told_from_more() -> None:
    status = ResourceQuotaStatus(used={"pods": "2", "cpu": "1"})
    assert not is_less(status, ResourceQuotaStatus())
    assert not is_less(status, status)
    assert is_less(status, ResourceQuotaStatus(used={"cpu": "1001m"}))


def test_an_empty_namespace() -> None:
    hard = {"pods": "3", "cpu": "2"}
    assert usage(ResourceQuota(spec=ResourceQuotaSpec(hard=dict(hard))), [], {}).used == {"pods": "0", "cpu": "0"}
