"""Amounts of resources: how a resource may be called, and how much of it there can be."""

from collections.abc import Mapping

from labkit.api import quantity
from labkit.api.errors import Fault
from labkit.api.faults import invalid
from labkit.api.names import QUALIFIED_NAME
from labkit.api.types import Quantity, ResourceRequirements

COUNTED = frozenset(
    ["pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "persistentvolumeclaims"]
)
STANDARD = COUNTED | {"cpu", "memory", "storage", "ephemeral-storage"}
_AMOUNT = "must be a valid resource quantity"


def resource_faults(amounts: Mapping[str, Quantity], path: str) -> list[Fault]:
    """Names, and that there is not less than nothing of a standard resource."""
    found = []
    for name, amount in amounts.items():
        found += name_faults(name, f"{path}[{name}]")
        if name in STANDARD:
            found += amount_faults(amount, f"{path}[{name}]")
    return found


def requirement_faults(wanted: ResourceRequirements, path: str) -> list[Fault]:
    """Limits and requests of a container, who may not ask for more than it is allowed to take."""
    found = resource_faults(wanted.limits, f"{path}.limits")
    for name in wanted.limits.keys() & wanted.requests.keys():
        if quantity.parse(wanted.limits[name]) < quantity.parse(wanted.requests[name]):
            why = "limit cannot be smaller than request"
            found.append(invalid(f"{path}.limits[{name}]", wanted.limits[name], why))
    return found + resource_faults(wanted.requests, f"{path}.requests")


def count_faults(amounts: Mapping[str, Quantity], path: str) -> list[Fault]:
    """There is no half object."""
    return [
        invalid(f"{path}[{name}]", amount, "must be an integer")
        for name, amount in amounts.items()
        if name in COUNTED and quantity.parse(amount) % 1
    ]


def name_faults(name: str, field: str) -> list[Fault]:
    """A standard resource, or `example.com/name`."""
    if why := QUALIFIED_NAME.fault(name):
        return [invalid(field, name, f"resource typename: {why}")]
    if "/" not in name and name not in STANDARD:
        return [invalid(field, name, "is neither a standard resource type nor is fully qualified")]
    return []


def amount_faults(amount: Quantity, field: str) -> list[Fault]:
    return [invalid(field, amount, _AMOUNT)] if quantity.parse(amount) < 0 else []
