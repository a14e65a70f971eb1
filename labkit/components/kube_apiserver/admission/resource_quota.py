"""ResourceQuota: so many objects, so much cpu and memory for a namespace, and no more.

    status.used is raised in the store before the object is made; whoever finds it at spec.hard is refused.

`charged` is the decision; the chain writes what it returns, and two servers cannot both take the last place. What was
deleted, or charged in vain, the quota controller counts anew. Last in the chain: what comes after could still refuse.
Source: plugin/pkg/admission/resourcequota of Kubernetes 1.0, which looked at status.hard: a new quota bound nobody
until it was counted, and where nobody counted never. Here nothing is admitted until then.
"""

from __future__ import annotations

from typing import Any

from labkit.api import quantity, quotas
from labkit.api.types import Pod, Quantity, ResourceQuota, copy
from labkit.components.kube_apiserver.admission.plugin import Asked, View, forbidden, not_yet

NOT_KNOWN = "Quota usage stats are not yet known, unable to admit resource until an accurate count is completed."
PATIENCE = 1.0  # seconds
_WORDS = {"memory": "memory", "cpu": "CPU"}


def admit(asked: Asked, view: View) -> Any:
    """Refuses what no quota has room for; room is only taken by `charged`."""
    if asked.operation == "CREATE":
        for quota in view.list(ResourceQuota, asked.namespace):
            charged(quota, asked)
    return asked.obj


def charged(quota: ResourceQuota, asked: Asked) -> ResourceQuota:
    """The quota with the new object in `status.used`. Raises Forbidden."""
    new = copy(quota)
    hard, used = quota.spec.hard, new.status.used
    if asked.kind.resource in hard:
        resource, limit = asked.kind.resource, hard[asked.kind.resource]
        total = _raised(asked, used.get(resource), 1000, limit, f"Limited to {limit} {resource}")
        used[resource] = quotas.written(total, resource)
    if isinstance(asked.obj, Pod):
        for resource, word in _WORDS.items():
            if resource in hard:
                wanted, limit = _wanted(asked, asked.obj, resource, hard[resource]), hard[resource]
                total = _raised(asked, used.get(resource), wanted, limit, f"Limited to {limit} {word}")
                used[resource] = quotas.written(total, resource)
    return new


def _wanted(asked: Asked, pod: Pod, resource: str, limit: Quantity) -> int:
    """In thousandths. Raises Forbidden for a container that may take as much as it likes."""
    each = quotas.limits_of(pod, resource)
    if not all(each):
        why = f"Limited to {limit} {_WORDS[resource]}, but pod has no specified {resource} limit"
        raise forbidden(asked, why)
    return sum(each)


def _raised(asked: Asked, used: Quantity | None, more: int, limit: Quantity, why: str) -> int:
    """`used` and so many thousandths. Raises Forbidden(why) above the limit."""
    if used is None:
        raise not_yet(asked, NOT_KNOWN, PATIENCE)
    total = quantity.milli_value(used) + more
    if total > quantity.milli_value(limit):
        raise forbidden(asked, why)
    return total
