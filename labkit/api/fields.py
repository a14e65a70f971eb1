"""Field selectors: `status.phase!=Failed,spec.nodeName=agent1`, by the labels that each kind has.

`=`, `==` and `!=`, joined by commas; a backslash before `,`, `=` or a backslash takes it as it is. What can be selected
is one table; asking for anything else is a BadRequest in the words of Kubernetes 1.0. metadata.name and
metadata.namespace work for every kind (in 1.0 only for some): kubectl watches single objects that way.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from labkit.api.errors import BadRequest
from labkit.api.kinds import Resource, by_kind_name
from labkit.api.types import Object

_ALWAYS: dict[str, Callable[[Any], str]] = {
    "metadata.name": lambda obj: obj.metadata.name,
    "metadata.namespace": lambda obj: obj.metadata.namespace,
}

_TABLE: dict[str, dict[str, Callable[[Any], str]]] = {
    "Pod": {
        "spec.nodeName": lambda pod: pod.spec.node_name,
        "spec.restartPolicy": lambda pod: pod.spec.restart_policy,
        "status.phase": lambda pod: pod.status.phase,
        "status.podIP": lambda pod: pod.status.pod_ip,
    },
    "Node": {"spec.unschedulable": lambda node: "true" if node.spec.unschedulable else "false"},
    "ReplicationController": {"status.replicas": lambda rc: str(rc.status.replicas)},
    "Namespace": {"status.phase": lambda namespace: namespace.status.phase},
    "Endpoints": {},
    "ServiceAccount": {},
    "Secret": {"type": lambda secret: secret.type},
    "Event": {
        "involvedObject.kind": lambda event: event.involved_object.kind,
        "involvedObject.namespace": lambda event: event.involved_object.namespace,
        "involvedObject.name": lambda event: event.involved_object.name,
        "involvedObject.uid": lambda event: event.involved_object.uid,
        "involvedObject.apiVersion": lambda event: event.involved_object.api_version,
        "involvedObject.resourceVersion": lambda event: event.involved_object.resource_version,
        "involvedObject.fieldPath": lambda event: event.involved_object.field_path,
        "reason": lambda event: event.reason,
        "source": lambda event: event.source.component,
        "type": lambda event: event.type,
    },
}
_READERS = {kind: _ALWAYS | row for kind, row in _TABLE.items()}
_OLD_NAMES = {"Pod": {"spec.host": "spec.nodeName", "name": "metadata.name"}}


def field_labels(obj: Object) -> dict[str, str]:
    """What a field selector can ask of this object: `{"metadata.name": "p1", "status.phase": "Running", ...}`."""
    readers = _READERS.get(obj.KIND, _ALWAYS)
    return {label: read(obj) for label, read in readers.items()}


class FieldRequirement(msgspec.Struct, frozen=True):
    label: str
    value: str
    equal: bool = True

    def __str__(self) -> str:
        value = re.sub(r"([\\,=])", r"\\\1", self.value)
        return f"{self.label}{'=' if self.equal else '!='}{value}"


class FieldSelector(msgspec.Struct, frozen=True):
    """All requirements must hold; without any it selects everything."""

    requirements: tuple[FieldRequirement, ...] = ()

    @property
    def everything(self) -> bool:
        return not self.requirements

    def matches(self, fields: Mapping[str, str]) -> bool:
        """fields: as `field_labels` makes them."""
        return all((fields.get(want.label, "") == want.value) == want.equal for want in self.requirements)

    @property
    def exact(self) -> FieldRequirement | None:
        """A requirement that a field has one value, such as spec.nodeName=agent1: what to look candidates up by."""
        return next((want for want in self.requirements if want.equal), None)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = FieldSelector()


def parse_field_selector(kind: Resource, text: str) -> FieldSelector:
    """BadRequest for what is no selector and for a label that the kind does not have."""
    return _parse(kind.kind, text)


@lru_cache(maxsize=1024)
def _parse(kind: str, text: str) -> FieldSelector:
    return FieldSelector(tuple(_requirement(kind, part, text) for part in _split(text) if part))


def _split(text: str) -> list[str]:
    """At every comma that no backslash precedes."""
    return re.findall(r"(?:\\.|[^\\,]|\\$)+", text, re.DOTALL)


def _requirement(kind: str, part: str, text: str) -> FieldRequirement:
    found = re.fullmatch(r"((?:\\.|[^\\=!])*)(!=|==?)(.*)", part, re.DOTALL)
    if not found:
        raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
    label, operator, value = found.groups()
    label = _OLD_NAMES.get(kind, {}).get(label, label)
    if label not in _READERS.get(kind, _ALWAYS):
        raise BadRequest(_unsupported(kind, label))
    return FieldRequirement(label, re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL), operator != "!=")


def _unsupported(kind: str, label: str) -> str:
    if kind in _TABLE:
        return f"field label not supported: {label}"
    return f"No field label conversion function found for version v1 and kind {kind}"


assert all(by_kind_name(name) for name in _TABLE)  # every row belongs to a kind that is served
