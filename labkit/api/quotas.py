"""What counts against a ResourceQuota: for those who charge it and for those who count anew.

Objects count one each under their resource's name; pods besides that with the limits of their containers, as long as
they are not over. All amounts are in thousandths. Source: pkg/resourcequota of Kubernetes 1.0.
"""

from labkit.api import quantity
from labkit.api.types import Pod

OBJECTS = ("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "persistentvolumeclaims")
COMPUTE = ("cpu", "memory")


def limits_of(pod: Pod, resource: str) -> list[int]:
    """Of each container; 0 where it has none."""
    return [quantity.milli_value(container.resources.limits.get(resource, 0)) for container in pod.spec.containers]


def counts(pod: Pod) -> bool:
    """Whether the pod takes room: those that are over do not."""
    return pod.status.phase not in ("Succeeded", "Failed")


def written(thousandths: int, resource: str) -> str:
    """`500m`, `64Mi`, `3`."""
    if resource == "memory" and thousandths and thousandths % 1_024_000 == 0:
        return quantity.canonical(f"{thousandths // 1_024_000}Ki")
    return quantity.canonical(f"{thousandths}m")
