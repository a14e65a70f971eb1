"""metadata, as every kind has it."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid, required
from labkit.api.names import DNS_LABEL, LABEL_VALUE, QUALIFIED_NAME, NameRule
from labkit.api.types import Object, ObjectMeta, OwnerReference

IMMUTABLE = "field is immutable"
_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_ANNOTATIONS_BYTES = 64 * 1024


def object_faults(obj: Object, name_rule: NameRule, *, namespaced: bool = True) -> list[Fault]:
    """metadata of a new object, its name already generated."""
    meta = obj.metadata
    return _name_faults(meta, name_rule) + _namespace_faults(meta, namespaced) + _common_faults(meta)


def _common_faults(meta: ObjectMeta) -> list[Fault]:
    """What is looked at whenever an object is stored."""
    found = labels(meta.labels, "metadata.labels") + annotations(meta.annotations, "metadata.annotations")
    if meta.owner_references:
        found += _owner_faults(meta.owner_references)
    for index, name in enumerate(meta.finalizers):
        found += finalizer_faults(name, _FINALIZERS, f"metadata.finalizers[{index}]")
    return found


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
    more = [name for name in meta.finalizers if name not in was.finalizers]
    if was.deletion_timestamp and more:
        why = f"no new finalizers can be added if the object is being deleted, found new finalizers {more}"
        faults.append(Fault("FieldValueForbidden", "metadata.finalizers", f"forbidden: {why}"))
    return faults + _common_faults(meta)


def _owner_faults(owners: list[OwnerReference]) -> list[Fault]:
    """Owners came after 1.0: each is named in full, and one of them at most is the controller."""
    found = []
    for index, owner in enumerate(owners):
        for name, value in (
            ("apiVersion", owner.api_version), ("kind", owner.kind), ("name", owner.name), ("uid", owner.uid),
        ):  # fmt: skip
            if not value:
                found.append(required(f"metadata.ownerReferences[{index}].{name}"))
    if sum(owner.controller is True for owner in owners) > 1:
        why = "only one reference can have controller set to true"
        found.append(invalid("metadata.ownerReferences", owners, why))
    return found


def finalizer_faults(name: str, standard: tuple[str, ...], path: str) -> list[Fault]:
    """A standard one, or a name with its owner's domain."""
    if why := QUALIFIED_NAME.fault(name):
        return [invalid(path, name, why)]
    if "/" not in name and name not in standard:
        why = "finalizer name is neither a standard finalizer name nor is it fully qualified"
        return [invalid(path, name, why)]
    return []


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
    if sum(len(key.encode()) + len(value.encode()) for key, value in values.items()) > _ANNOTATIONS_BYTES:
        faults.append(invalid(path, "", f"must have at most {_ANNOTATIONS_BYTES} characters"))
    return faults
