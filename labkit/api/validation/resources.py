"""Amounts of resources: how a resource may be called, and how much of it there can be."""

from collections.abc import Mapping

from labkit.api import quantity
from labkit.api.errors import Fault
from labkit.api.faults import invalid
from labkit.api.names import QUALIFIED_NAME
from labkit.api.types import Quantity

STANDARD = frozenset(
    ["cpu", "memory", "storage", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets",
     "persistentvolumeclaims"]
)  # fmt: skip
_AMOUNT = "must be a valid resource quantity"


def resource_faults(amounts: Mapping[str, Quantity], path: str) -> list[Fault]:
    """Names, and that there is not less than nothing of a standard resource."""
    found = []
    for name, amount in amounts.items():
        found += name_faults(name, f"{path}[{name}]")
        if name in STANDARD:
            found += amount_faults(amount, f"{path}[{name}]")
    return found


def name_faults(name: str, field: str) -> list[Fault]:
    """A standard resource, or `example.com/name`."""
    if why := QUALIFIED_NAME.fault(name):
        return [invalid(field, name, f"resource typename: {why}")]
    if "/" not in name and name not in STANDARD:
        return [invalid(field, name, "is neither a standard resource type nor is fully qualified")]
    return []


def amount_faults(amount: Quantity, field: str) -> list[Fault]:
    return [invalid(field, amount, _AMOUNT)] if quantity.parse(amount) < 0 else []
