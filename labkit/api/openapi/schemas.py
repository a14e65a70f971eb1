"""From the Structs of `api/types` to JSON schemas: one definition for every type that a client can meet.

    io.k8s.api.core.v1.Pod                               our kinds and their parts
    io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta      what is not of one kind only
    io.k8s.api.authorization.v1....                      kinds of other groups and their parts

The names are those that clients know; so are the `x-kubernetes-...` members, from which kubectl computes its patches.
"""

from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec.structs import fields

from labkit.api import types
from labkit.api.kinds import Resource
from labkit.api.merge_keys import MERGE_KEYS, RETAINED
from labkit.api.openapi import words
from labkit.api.types import Object, Part

Schema = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_PACKAGES = {
    **dict.fromkeys(("Time", "MicroTime"), _META),
    "Quantity": "io.k8s.apimachinery.pkg.api.resource.",
    "IntOrString": "io.k8s.apimachinery.pkg.util.intstr.",
    **dict.fromkeys(
        ("ObjectMeta", "ListMeta", "OwnerReference", "ManagedFieldsEntry", "FieldsV1", "Status", "StatusDetails",
         "StatusCause", "DeleteOptions", "Preconditions"), _META,
    ),
    "Eviction": "io.k8s.api.policy.v1.",
    **dict.fromkeys(("Scale", "ScaleSpec", "ScaleStatus"), "io.k8s.api.autoscaling.v1."),
    **dict.fromkeys(
        ("SelfSubjectAccessReview", "SelfSubjectAccessReviewSpec", "SubjectAccessReviewStatus", "ResourceAttributes",
         "NonResourceAttributes", "SelfSubjectRulesReview", "SelfSubjectRulesReviewSpec", "SubjectRulesReviewStatus",
         "ResourceRule", "NonResourceRule"), "io.k8s.api.authorization.v1.",
    ),
    **dict.fromkeys(("EndpointSlice", "Endpoint", "EndpointConditions", "SlicePort"), "io.k8s.api.discovery.v1."),
    **dict.fromkeys(("Lease", "LeaseSpec"), "io.k8s.api.coordination.v1."),
    "SelfSubjectReviewV1beta1": "io.k8s.api.authentication.v1beta1.",
    **dict.fromkeys(
        ("SelfSubjectReview", "SelfSubjectReviewStatus", "UserInfo", "TokenRequest", "TokenRequestSpec",
         "TokenRequestStatus", "BoundObjectReference", "TokenReview", "TokenReviewSpec",
         "TokenReviewStatus"), "io.k8s.api.authentication.v1.",
    ),
}  # fmt: skip
_CORE = "io.k8s.api.core.v1."
_SCALARS = ("Time", "MicroTime", "Quantity", "IntOrString", "FieldsV1")
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "format": "byte"},
    int: {"type": "integer", "format": "int64"},
    types.Int32: {"type": "integer", "format": "int32"},
    types.Int64: {"type": "integer", "format": "int64"},
}


def full_name(name: str) -> str:
    """`Pod` -> `io.k8s.api.core.v1.Pod`."""
    return _PACKAGES.get(name, _CORE) + name.removesuffix("V1beta1")


class Schemas:
    """The definitions in one dialect.

    v3: OpenAPI 3 (references below components, one of several types allowed), otherwise OpenAPI 2.
    """

    def __init__(self, *, v3: bool) -> None:
        self._v3 = v3
        self._words = words.read()

    def reference(self, name: str) -> Schema:
        return {"$ref": f"#/{'components/schemas' if self._v3 else 'definitions'}/{full_name(name)}"}

    def definitions(self, rows: Iterable[Resource], others: Iterable[type[Part]] = ()) -> dict[str, Schema]:
        """Of the types of these rows, their lists, these other types, and all that they are made of."""
        rows = list(rows)
        found = {what.__name__: self._of_type(what) for what in _reachable([*(row.type for row in rows), *others])}
        listed = [row for row in rows if "list" in row.verbs]
        found |= {row.list_kind: self._of_list(row) for row in listed}
        found |= {what.__name__: self._of_type(what) for what in _reachable([types.ListMeta])} if listed else {}
        found |= {name: self._of_scalar(name) for name in _SCALARS}
        return {full_name(name): found[name] for name in sorted(found, key=full_name)}

    def _of_type(self, what: type[Part]) -> Schema:
        said = words.words_of(what, self._words)
        properties = {one.encode_name: self._of_field(what, one.encode_name, one.type, said) for one in fields(what)}
        schema: Schema = {"type": "object", "description": said.text, "properties": properties}
        if said.required:
            schema["required"] = sorted(said.required)
        if issubclass(what, Object) or what in (types.Status, types.DeleteOptions):
            schema["x-kubernetes-group-version-kind"] = [group_version_kind(what)]
        return schema

    def _of_list(self, kind: Resource) -> Schema:
        said = self._words["List"]
        members: dict[str, Schema] = {
            "apiVersion": {"type": "string"},
            "items": {"type": "array", "items": self.reference(kind.kind)},
            "kind": {"type": "string"},
            "metadata": self.reference("ListMeta"),
        }
        return {
            "type": "object",
            "description": said.text,
            "properties": {name: self._described(member, said.fields[name]) for name, member in members.items()},
            "required": ["items"],
            "x-kubernetes-group-version-kind": [{"group": kind.group, "kind": kind.list_kind, "version": kind.version}],
        }

    def _of_scalar(self, name: str) -> Schema:
        text = {"description": self._words[name].text}
        if name == "FieldsV1":
            return text | {"type": "object"}
        if name in ("Time", "MicroTime"):
            return text | {"type": "string", "format": "date-time"}
        if self._v3:
            number = "integer" if name == "IntOrString" else "number"
            form = {"format": "int-or-string"} if name == "IntOrString" else {}
            return text | form | {"oneOf": [{"type": "string"}, {"type": number}]}
        return text | {"type": "string"} | ({"format": "int-or-string"} if name == "IntOrString" else {})

    def _of_field(self, what: type[Part], name: str, annotation: Any, said: words.TypeWords) -> Schema:
        schema = self._described(self._of_annotation(annotation), said.fields[name])
        key = MERGE_KEYS.get(what, {}).get(name)
        if key is not None:
            retained = ",retainKeys" if (what, name) in RETAINED else ""
            schema["x-kubernetes-patch-strategy"] = f"merge{retained}"
            if key:
                schema["x-kubernetes-patch-merge-key"] = key
        return schema

    def _described(self, schema: Schema, text: str) -> Schema:
        """OpenAPI 3 has nothing beside a reference, so there it is wrapped."""
        if "$ref" in schema and self._v3:
            schema = {"allOf": [schema]}
        return {"description": text, **schema}

    def _of_annotation(self, annotation: Any) -> Schema:
        what = without_none(annotation)
        if what in _PLAIN:
            return dict(_PLAIN[what])
        if name := _scalar_name(what):
            return self.reference(name)
        if get_origin(what) is list:
            return {"type": "array", "items": self._of_annotation(get_args(what)[0])}
        if get_origin(what) is dict:
            return {"type": "object", "additionalProperties": self._of_annotation(get_args(what)[1])}
        return self.reference(what.__name__)


def group_version_kind(what: type[Part]) -> dict[str, str]:
    """Of a kind, of an answer or of a subresource's own type."""
    if not issubclass(what, Object):
        return {"group": "", "kind": what.__name__, "version": "v1"}
    group, _, version = what().api_version.rpartition("/")
    return {"group": group, "kind": what.KIND, "version": version}


def without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not type(None))
    return annotation


def _scalar_name(what: Any) -> str:
    """`Time`, `Quantity`, `IntOrString`: what their annotations in `types.part` say."""
    if get_origin(what) is not Annotated:
        return ""
    return next((meta.extra["schema"] for meta in what.__metadata__ if meta.extra), "")


def _reachable(roots: Iterable[type[Part]]) -> Iterator[type[Part]]:
    """These types and those of all their fields, each once."""
    seen: set[type[Part]] = set()
    waiting = list(roots)
    while waiting:
        what = waiting.pop()
        if what in seen:
            continue
        seen.add(what)
        yield what
        waiting += [part for one in fields(what) for part in _parts(without_none(one.type))]


def _parts(what: Any) -> Iterator[type[Part]]:
    if isinstance(what, type) and issubclass(what, Part):
        yield what
    elif get_origin(what) in (list, dict):
        yield from _parts(get_args(what)[-1])


def of_rows(rows: Iterable[Resource], *, v3: bool) -> dict[str, Schema]:
    """Of these resources, and of what is sent to the core group or answered by it besides."""
    rows = list(rows)
    beside = (types.Binding, types.Eviction, types.TokenRequest, types.Scale, types.Status, types.DeleteOptions)
    return Schemas(v3=v3).definitions(rows, beside if any(not row.group for row in rows) else ())
