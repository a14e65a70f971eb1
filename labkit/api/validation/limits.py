"""Limit ranges and resource quotas: known resources, and least <= default <= most."""

from labkit.api import quantity
from labkit.api.errors import Fault
from labkit.api.faults import duplicate, invalid, not_supported, required
from labkit.api.names import DNS_SUBDOMAIN, QUALIFIED_NAME
from labkit.api.types import LimitRange, LimitRangeItem, ResourceQuota
from labkit.api.validation import metadata
from labkit.api.validation.resources import amount_faults, count_faults, name_faults, resource_faults

TYPES = ("Container", "Pod", "PersistentVolumeClaim")
# What must not be greater than what: attribute, in words, its name in the object.
_LEVELS = (
    ("min", "min", "min"),
    ("default_request", "default request", "defaultRequest"),
    ("default", "default", "default"),
    ("max", "max", "max"),
)


def limit_range_faults(limits: LimitRange) -> list[Fault]:
    found = metadata.object_faults(limits, DNS_SUBDOMAIN)
    types: set[str] = set()
    for index, limit in enumerate(limits.spec.limits):
        path = f"spec.limits[{index}]"
        found += _type_faults(limit.type, types, f"{path}.type") + _default_faults(limit, path)
        types.add(limit.type)
        for attribute, _, name in reversed(_LEVELS):
            for resource in getattr(limit, attribute):
                found += name_faults(resource, f"{path}.{name}[{resource}]")
        found += _order_faults(limit, path)
    return found


def _type_faults(type: str, before: set[str], path: str) -> list[Fault]:
    """1.0 let any type pass, and then limited nothing by it."""
    if not type:
        return [required(path)]
    if why := QUALIFIED_NAME.fault(type):
        return [invalid(path, type, why)]
    if "/" not in type and type not in TYPES:
        return [not_supported(path, type, TYPES)]
    return [duplicate(path, type)] if type in before else []


def _default_faults(limit: LimitRangeItem, path: str) -> list[Fault]:
    """Only containers can be given what they do not ask for."""
    if limit.type != "Pod":
        return []
    return [
        invalid(f"{path}.{name}", amounts, f"{name} is not supported when limit type is Pod")
        for name, amounts in (("default", limit.default), ("defaultRequest", limit.default_request))
        if amounts
    ]


def _order_faults(limit: LimitRangeItem, path: str) -> list[Fault]:
    found = []
    for number, (lower, lower_word, name) in enumerate(_LEVELS):
        for higher, higher_word, _ in _LEVELS[number + 1 :]:
            amounts, above = getattr(limit, lower), getattr(limit, higher)
            for resource in sorted(amounts.keys() & above.keys()):
                less, more = amounts[resource], above[resource]
                if quantity.parse(less) > quantity.parse(more):
                    why = f"{lower_word} value {less} is greater than {higher_word} value {more}"
                    found.append(invalid(f"{path}.{name}[{resource}]", less, why))
    return found


def limit_range_update_faults(new: LimitRange, old: LimitRange) -> list[Fault]:
    return metadata.update_faults(new, old) + limit_range_faults(new)


def quota_faults(quota: ResourceQuota) -> list[Fault]:
    return metadata.object_faults(quota, DNS_SUBDOMAIN) + _hard_faults(quota)


def _hard_faults(quota: ResourceQuota) -> list[Fault]:
    return resource_faults(quota.spec.hard, "spec.hard") + count_faults(quota.spec.hard, "spec.hard")


def quota_update_faults(new: ResourceQuota, old: ResourceQuota) -> list[Fault]:
    return metadata.update_faults(new, old) + _hard_faults(new)


def quota_status_update_faults(new: ResourceQuota, old: ResourceQuota) -> list[Fault]:
    found = metadata.update_faults(new, old)
    for field, amounts in (("hard", new.status.hard), ("used", new.status.used)):
        for resource, amount in amounts.items():
            found += name_faults(resource, f"status.{field}[{resource}]")
            found += amount_faults(amount, f"status.{field}[{resource}]")
    return found
