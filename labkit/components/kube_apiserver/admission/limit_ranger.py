"""LimitRanger: a namespace's LimitRanges give containers their default limits and bound what pods may ask for.

Source: plugin/pkg/admission/limitranger of Kubernetes 1.0, whose limits these are (it did not look at requests).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.api import quotas
from labkit.api.quantity import canonical, milli_value
from labkit.api.types import LimitRange, LimitRangeItem, Pod, Quantity
from labkit.components.kube_apiserver.admission.plugin import Asked, View, forbidden

_WORDS = {"cpu": "CPU", "memory": "memory"}


def admit(asked: Asked, view: View) -> Any:
    if asked.operation == "DELETE" or asked.kind.type is not Pod:
        return asked.obj
    for limits in view.list(LimitRange, asked.namespace):
        set_defaults(asked.obj, limits)
        for why in broken(asked.obj, limits):
            raise forbidden(asked, why)
    return asked.obj


def set_defaults(pod: Pod, limits: LimitRange) -> None:
    """What a container does not limit itself is limited by the range's default."""
    for item in limits.spec.limits:
        if item.type == "Container":
            for container in pod.spec.containers:
                container.resources.limits = item.default | container.resources.limits


def broken(pod: Pod, limits: LimitRange) -> Iterator[str]:
    """What the pod breaks, in the original's words."""
    for item in limits.spec.limits:
        for resource, word in _WORDS.items():
            usage = _usage(pod, item, resource)
            if resource in item.min and usage and min(usage) < milli_value(item.min[resource]):
                yield _sentence("Minimum", word, item, item.min[resource], usage)
            if resource in item.max and usage and max(usage) > milli_value(item.max[resource]):
                yield _sentence("Maximum", word, item, item.max[resource], usage)


def _sentence(which: str, word: str, item: LimitRangeItem, limit: Quantity, usage: list[int]) -> str:
    """Only about the CPU of whole pods the original also says how much it is."""
    asked = f", but requested {canonical(f'{usage[0]}m')}" if (item.type, word) == ("Pod", "CPU") else ""
    return f"{which} {word} usage per {item.type.lower()} is {limit}{asked}"


def _usage(pod: Pod, item: LimitRangeItem, resource: str) -> list[int]:
    """In thousandths, of each container, or of the pod as a whole."""
    each = quotas.limits_of(pod, resource)
    return each if item.type == "Container" else [sum(each)] if item.type == "Pod" else []
