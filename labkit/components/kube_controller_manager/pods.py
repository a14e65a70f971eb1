"""What the controllers ask about a pod."""

from collections.abc import Mapping

from labkit.api.types import Pod


def selects(selector: Mapping[str, str], namespace: str, pod: Pod) -> bool:
    """Whether a selector of that namespace picks the pod; an empty selector picks nothing."""
    return bool(selector) and pod.metadata.namespace == namespace and selector.items() <= pod.metadata.labels.items()


def is_active(pod: Pod) -> bool:
    """It runs or will: neither over nor being deleted."""
    return pod.status.phase not in ("Succeeded", "Failed") and pod.metadata.deletion_timestamp is None


def is_ready(pod: Pod) -> bool:
    """Its Ready condition is True."""
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions)
