"""The schema against the types that it is made from, and its protobuf form against its JSON."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import fields

from labkit.api import discovery, types
from labkit.api.discovery import _SUBRESOURCES
from labkit.api.kinds import KINDS
from labkit.api.merge_keys import MERGE_KEYS
from labkit.api.openapi import paths, schemas, words
from labkit.api.protobuf import _read
from labkit.api.types import Part


def page(path: str, accept: str = "application/json") -> Any:
    found = discovery.document(path, accept)
    assert found is not None
    assert found[1] == "application/json"
    return json.loads(found[0])


def all_groups() -> Any:
    """The OpenAPI 3 documents of all groups as one."""
    pages = [page(one["serverRelativeURL"].partition("?")[0]) for one in page("/openapi/v3")["paths"].values()]
    definitions = {name: one for each in pages for name, one in each["components"]["schemas"].items()}
    return pages[0] | {
        "paths": {path: item for each in pages for path, item in each["paths"].items()},
        "components": {"schemas": definitions},
    }


V3, V2 = all_groups(), page("/openapi/v2")
DEFINITIONS = {"v3": V3["components"]["schemas"], "v2": V2["definitions"]}
SERVED = [name.rpartition(".")[2] for name in DEFINITIONS["v3"]]


def definition(name: str, dialect: str = "v3") -> Any:
    return DEFINITIONS[dialect][schemas.full_name(name)]


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        yield from ([document["$ref"]] if isinstance(document.get("$ref"), str) else [])
        document = list(document.values())
    if isinstance(document, list):
        for member in document:
            yield from references(member)


def test_the_index_leads_to_the_schema() -> None:
    places = page("/openapi/v3")["paths"]
    assert list(places) == [
        "api/v1",
        "apis/coordination.k8s.io/v1",
        "apis/authorization.k8s.io/v1",
        "apis/authentication.k8s.io/v1",
        "apis/authentication.k8s.io/v1beta1",
        "apis/discovery.k8s.io/v1",
        "apis/metrics.k8s.io/v1beta1",
    ]
    for path, place in places.items():
        assert re.fullmatch(rf"/openapi/v3/{path}\?hash=[0-9A-F]{{32}}", place["serverRelativeURL"])


def test_the_schema_of_a_group_stands_for_itself() -> None:
    group = page("/openapi/v3/apis/authentication.k8s.io/v1")
    root = "/apis/authentication.k8s.io/v1"
    assert list(group["paths"]) == [f"{root}/selfsubjectreviews", f"{root}/tokenreviews"]
    operation = group["paths"][f"{root}/selfsubjectreviews"]
    assert operation["post"]["operationId"] == "createAuthenticationV1SelfSubjectReview"
    prefix = "#/components/schemas/"
    assert {one.removeprefix(prefix) for one in references(group)} <= set(group["components"]["schemas"])
    beta = page("/openapi/v3/apis/authentication.k8s.io/v1beta1")["components"]["schemas"]
    assert beta["io.k8s.api.authentication.v1beta1.SelfSubjectReview"]["x-kubernetes-group-version-kind"] == [
        {"group": "authentication.k8s.io", "kind": "SelfSubjectReview", "version": "v1beta1"}
    ]


@pytest.mark.parametrize(
    ("dialect", "document", "prefix"), [("v3", V3, "components/schemas"), ("v2", V2, "definitions")]
)
def test_every_reference_leads_somewhere(dialect: str, document: Any, prefix: str) -> None:
    found = set(references(document))
    assert found == {f"#/{prefix}/{name}" for name in DEFINITIONS[dialect] if f"#/{prefix}/{name}" in found}
    lists = {kind.list_kind for kind in KINDS.values()}
    assert {schemas.full_name(name) for name in lists} <= set(DEFINITIONS[dialect])


@pytest.mark.parametrize("dialect", ["v3", "v2"])
def test_every_field_that_is_accepted_is_in_it(dialect: str) -> None:
    for name in SERVED:
        what = getattr(types, name, None)
        if isinstance(what, type) and issubclass(what, Part):
            known = set(definition(name, dialect)["properties"])
            assert known == {one.encode_name for one in fields(what)}, name


def test_everything_is_described() -> None:
    for name in SERVED:
        assert definition(name)["description"].endswith("."), name
        for field, member in definition(name).get("properties", {}).items():
            assert member["description"].endswith("."), (name, field)


def test_nothing_is_described_that_is_not_there() -> None:
    served = [what for name in SERVED if isinstance(what := getattr(types, name, None), type)]
    made_of = {base.__name__: base for what in served for base in what.__mro__ if issubclass(base, Part)}
    for name, line in words.read().items():
        if name in made_of:
            known = {one.encode_name for one in fields(made_of[name])}
            assert set(line.fields) <= known, name
        else:
            assert name in ("List", "Time", "MicroTime", "Quantity", "IntOrString", "FieldsV1")


def test_what_kubectl_computes_its_patches_from() -> None:
    for what, keys in MERGE_KEYS.items():
        for field, key in keys.items():
            member = definition(what.__name__)["properties"][field]
            assert member["x-kubernetes-patch-strategy"].startswith("merge")
            assert member.get("x-kubernetes-patch-merge-key", "") == key
    assert definition("PodSpec")["properties"]["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"


@pytest.mark.parametrize("document", [V3, V2], ids=["v3", "v2"])
def test_every_kind_has_a_patch_with_dry_run_and_field_validation(document: Any) -> None:
    """By these kubectl finds out what the server can; only the first path of a kind counts."""
    for kind in KINDS.values():
        gvk = {"group": kind.group, "kind": kind.kind, "version": "v1"}
        patches = [item["patch"] for item in document["paths"].values() if "patch" in item]
        mine = [one for one in patches if one["x-kubernetes-group-version-kind"] == gvk]
        assert {"dryRun", "fieldValidation", "fieldManager"} <= {one["name"] for one in mine[0]["parameters"]}


def test_every_resource_has_the_path_that_explain_looks_for() -> None:
    for kind in KINDS.values():
        path = f"{kind.root}/{'namespaces/{namespace}/' if kind.namespaced else ''}{kind.resource}"
        assert V3["paths"][path]["get"]["x-kubernetes-group-version-kind"]["kind"] == kind.kind
        assert "delete" in V3["paths"][f"{path}/{{name}}"]
        for name in kind.subresources:
            assert f"{path}/{{name}}/{name}" in V3["paths"]


def test_discovery_and_schema_know_the_same_subresources() -> None:
    assert set(_SUBRESOURCES) <= set(paths._SUBRESOURCES)


def test_operations_have_names_of_their_own() -> None:
    called = [one["operationId"] for item in V3["paths"].values() for one in item.values() if isinstance(one, dict)]
    assert len(set(called)) == len(called)
    for path, item in V3["paths"].items():
        assert [one["name"] for one in item["parameters"]] == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize(
    ("field", "dialect", "expected"),
    [
        (("ContainerPort", "containerPort"), "v2", {"type": "integer", "format": "int32"}),
        (("ObjectMeta", "generation"), "v3", {"type": "integer", "format": "int64"}),
        (("Secret", "data"), "v2", {"type": "object", "additionalProperties": {"type": "string", "format": "byte"}}),
        (("Service", "spec"), "v2", {"$ref": "#/definitions/io.k8s.api.core.v1.ServiceSpec"}),
        (("Service", "spec"), "v3", {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.ServiceSpec"}]}),
        (
            ("ObjectMeta", "creationTimestamp"),
            "v2",
            {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Time"},
        ),
        (
            ("ResourceRequirements", "limits"),
            "v2",
            {
                "type": "object",
                "additionalProperties": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity"},
            },
        ),
    ],
)
def test_fields(field: tuple[str, str], dialect: str, expected: Any) -> None:
    member = dict(definition(field[0], dialect)["properties"][field[1]])
    assert member.pop("description")
    assert member == expected


def test_kinds_say_what_they_are() -> None:
    core = [{"group": "", "kind": "Pod", "version": "v1"}]
    assert definition("Pod")["x-kubernetes-group-version-kind"] == core
    scale = [{"group": "autoscaling", "kind": "Scale", "version": "v1"}]
    assert definition("Scale")["x-kubernetes-group-version-kind"] == scale
    assert definition("Container")["required"] == ["name"]


# -- protobuf --------------------------------------------------------------------------------------------------------


def members(message: bytes, number: int) -> list[Any]:
    return [value for found, value in _read(message) if found == number]


def text(message: bytes, number: int) -> str:
    return b"".join(members(message, number)).decode()


def named(message: bytes, number: int) -> dict[str, bytes]:
    return {text(one, 1): b"".join(members(one, 2)) for one in members(message, number)}


def decoded_schema(message: bytes) -> dict[str, Any]:
    """A Schema of OpenAPIv2.proto as JSON."""
    found: dict[str, Any] = {}
    for name, number in (("$ref", 1), ("format", 2), ("description", 4)):
        found |= {name: text(message, number)} if members(message, number) else {}
    found |= {"required": [one.decode() for one in members(message, 19)]} if members(message, 19) else {}
    for one in members(message, 21):
        found["additionalProperties"] = decoded_schema(members(one, 1)[0])
    for one in members(message, 22):
        found["type"] = text(one, 1)
    for one in members(message, 23):
        found["items"] = decoded_schema(members(one, 1)[0])
    for one in members(message, 25):
        found["properties"] = {name: decoded_schema(member) for name, member in named(one, 1).items()}
    return found | {name: json.loads(text(member, 2)) for name, member in named(message, 31).items()}


def protobuf_document() -> bytes:
    found = discovery.document("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert found is not None
    assert found[1] == discovery.OPENAPI_PROTOBUF
    return found[0]


def test_protobuf_says_the_same_of_the_types() -> None:
    (definitions,) = members(protobuf_document(), 9)
    assert {name: decoded_schema(one) for name, one in named(definitions, 1).items()} == V2["definitions"]


def test_protobuf_says_the_same_of_the_paths() -> None:
    (paths,) = members(protobuf_document(), 8)
    found = named(paths, 2)
    assert list(found) == list(V2["paths"])
    for path, item in V2["paths"].items():
        for method, number in (("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)):
            operations = members(found[path], number)
            assert len(operations) == (method in item)
            for operation in operations:
                assert text(operation, 5) == item[method]["operationId"]
                extensions = {name: json.loads(text(one, 2)) for name, one in named(operation, 13).items()}
                assert extensions == {name: one for name, one in item[method].items() if name.startswith("x-")}
                assert len(members(operation, 8)) == len(item[method]["parameters"])


def test_protobuf_parameters() -> None:
    (paths,) = members(protobuf_document(), 8)
    (put,) = members(named(paths, 2)["/api/v1/namespaces/{namespace}/pods/{name}"], 3)
    body, dry_run, *_ = [members(one, 1)[0] for one in members(put, 8)]
    (body,) = members(body, 1)
    assert (text(body, 2), text(body, 3)) == ("body", "body")
    assert decoded_schema(members(body, 5)[0]) == {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"}
    (query,) = members(members(dry_run, 2)[0], 3)
    assert (text(query, 4), text(query, 2), text(query, 6)) == ("dryRun", "query", "string")
