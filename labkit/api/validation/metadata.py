"""metadata, as every kind has it."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid, required
from labkit.api.names import DNS_LABEL, LABEL_VALUE, QUALIFIED_NAME, NameRule
from labkit.api.types import Object, ObjectMeta

IMMUTABLE = "field is immutable"
_ANNOTATIONS_BYTES = 64 * 1024


def object_faults(obj: Object, name_rule: NameRule, *, namespaced: bool = True) -> list[Fault]:
    """metadata of a new object, its name already generated."""
    meta = obj.metadata
    faults = _name_faults(meta, name_rule) + _namespace_faults(meta, namespaced)
    return faults + labels(meta.labels, "metadata.labels") + annotations(meta.annotations, "metadata.annotations")


def _name_faults(meta: ObjectMeta, rule: NameRule) -> list[Fault]:
    faults = []
    if meta.generate_name and (why := rule.prefix_fault(meta.generate_name)):
        faults.append(invalid("metadata.generateName", meta.generate_name, why))
    if not meta.name:
        faults.append(required("metadata.name"))
    elif why := rule.fault(meta.name):
        faults.append(invalid("metadata.name", meta.name, why))
    return faults


def _namespace_faults(meta: ObjectMeta, namespaced: bool) -> list[Fault]:
    if not namespaced:
        why = "namespace is not allowed on this type"
        return [invalid("metadata.namespace", meta.namespace, why)] if meta.namespace else []
    if not meta.namespace:
        return [required("metadata.namespace")]
    why = DNS_LABEL.fault(meta.namespace)
    return [invalid("metadata.namespace", meta.namespace, why)] if why else []


def update_faults(new: Object, old: Object) -> list[Fault]:
    """metadata of a change; what the client left out is taken over from old."""
    meta, was = new.metadata, old.metadata
    meta.uid = meta.uid or was.uid
    meta.creation_timestamp = was.creation_timestamp or meta.creation_timestamp
    faults = []
    if not meta.resource_version:
        why = "resourceVersion must be specified for an update"
        faults.append(invalid("metadata.resourceVersion", "", why))
    for field in ("name", "namespace", "uid"):
        if getattr(meta, field) != getattr(was, field):
            faults.append(invalid(f"metadata.{field}", getattr(meta, field), IMMUTABLE))
    return faults + labels(meta.labels, "metadata.labels") + annotations(meta.annotations, "metadata.annotations")


def labels(values: dict[str, str], path: str) -> list[Fault]:
    """Keys are qualified names, values label values; the fault names the map and shows the offender."""
    faults = []
    for key, value in values.items():
        if why := QUALIFIED_NAME.fault(key):
            faults.append(invalid(path, key, why))
        if why := LABEL_VALUE.fault(value):
            faults.append(invalid(path, value, why))
    return faults


def annotations(values: dict[str, str], path: str) -> list[Fault]:
    """Keys are qualified names in any case; values are free, together not over 64 KiB."""
    faults = [invalid(path, key, why) for key in values if (why := QUALIFIED_NAME.fault(key.lower()))]
    if sum(len(key) + len(value) for key, value in values.items()) > _ANNOTATIONS_BYTES:
        faults.append(invalid(path, "", f"must have at most {_ANNOTATIONS_BYTES} characters"))
    return faults
