"""Where the objects of each kind hold amounts ("500m", "64Mi"), so that each is written in one way only."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from labkit.api import quantity, types
from labkit.api.types import Part, Quantity

_Amounts: TypeAlias = dict[str, Quantity]


def canonicalize(obj: Part) -> None:
    """ "0.5" becomes "500m" in all of the object; QuantityError for a text that is no amount."""
    for amounts in _PLACES.get(type(obj), _nowhere)(obj):
        for name, amount in amounts.items():
            amounts[name] = quantity.canonical(amount)


def _nowhere(obj: Part) -> Iterable[_Amounts]:
    return ()


def _of_pod(spec: types.PodSpec) -> Iterator[_Amounts]:
    for container in spec.containers:
        yield container.resources.limits
        yield container.resources.requests


def _of_limit_range(limits: types.LimitRange) -> Iterator[_Amounts]:
    for limit in limits.spec.limits:
        yield from (limit.max, limit.min, limit.default, limit.default_request)


def _of_claim(claim: types.PersistentVolumeClaim) -> Iterator[_Amounts]:
    yield from (claim.spec.resources.limits, claim.spec.resources.requests, claim.status.capacity)


_PLACES: dict[type[Part], Callable[[Any], Iterable[_Amounts]]] = {
    types.Pod: lambda pod: _of_pod(pod.spec),
    types.PodTemplate: lambda one: _of_pod(one.template.spec),
    types.ReplicationController: lambda rc: _of_pod(rc.spec.template.spec) if rc.spec.template else (),
    types.Node: lambda node: (node.status.capacity, node.status.allocatable),
    types.LimitRange: _of_limit_range,
    types.ResourceQuota: lambda quota: (quota.spec.hard, quota.status.hard, quota.status.used),
    types.PersistentVolume: lambda volume: (volume.spec.capacity,),
    types.PersistentVolumeClaim: _of_claim,
}
