"""From a manifest's members to what our rules say of it."""

from typing import Any

from labkit.api import codec
from labkit.api.kinds import by_kind_name
from labkit.api.strategies import strategy_of


def read(kind: str, **members: Any) -> Any:
    """The object with its defaults, as the server has it when it validates."""
    row = by_kind_name(kind)
    document = {"kind": kind, "apiVersion": "v1", "metadata": {"name": "x"}} | members
    obj = codec.from_builtins(document, row.type)
    strategy_of(row).defaults(obj)
    obj.metadata.namespace = "default" if row.namespaced else ""
    return obj


def faults(kind: str, **members: Any) -> list[str]:
    """`path: sentence` of every fault of a new object."""
    return [str(fault) for fault in strategy_of(by_kind_name(kind)).validate(read(kind, **members))]


def update_faults(new: Any, old: Any) -> list[str]:
    """Of changing old into new, which says the right resourceVersion."""
    old.metadata.resource_version = new.metadata.resource_version = "5"
    return [str(fault) for fault in strategy_of(by_kind_name(new.KIND)).validate_update(new, old)]
