"""Bindings: a node to put the pod on."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid, required
from labkit.api.types import Binding


def faults(binding: Binding) -> list[Fault]:
    target, found = binding.target, []
    if target.kind not in ("", "Node", "Minion"):
        found.append(invalid("to.kind", target.kind, "must be empty, 'Node', or 'Minion'"))
    if not target.name:
        found.append(required("to.name"))
    return found
