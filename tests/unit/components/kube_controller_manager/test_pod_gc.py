"""Which of the pods that have ended are deleted."""

import pytest

from labkit.api.types import ObjectMeta, Pod, PodStatus
from labkit.components.kube_controller_manager.pod_gc import surplus


def pod(name: str, phase: str, minute: int = 0) -> Pod:
    created = f"2026-01-02T03:{minute:02}:00Z"
    return Pod(metadata=ObjectMeta(name=name, creation_timestamp=created), status=PodStatus(phase=phase))


PODS = [pod("c", "Failed", 3), pod("a", "Succeeded", 1), pod("runs", "Running"), pod("b", "Failed", 2),
        pod("waits", "Pending"), pod("lost", "Unknown")]  # fmt: skip


@pytest.mark.parametrize(
    ("threshold", "deleted"), [(1, ["a", "b"]), (2, ["a"]), (3, []), (12500, []), (0, [])]
)  # fmt: skip
@pytest.mark.cis("1.3.1")
def test_the_oldest_go(threshold: int, deleted: list[str]) -> None:
    assert [pod.metadata.name for pod in surplus(PODS, threshold)] == deleted
