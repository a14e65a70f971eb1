import json
from typing import Any

import pytest

from labkit.api import discovery
from labkit.api.computed import place_of
from labkit.api.kinds import KINDS

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
KUBECTL_1_20 = "application/json, */*"
KUBECTL_1_27 = AGGREGATED.format("v2beta1") + ",application/json"
KUBECTL_1_33 = AGGREGATED.format("v2") + "," + KUBECTL_1_27


def read(path: str, accept: str = KUBECTL_1_20) -> Any:
    found = discovery.document(path, accept)
    assert found is not None
    return json.loads(found[0])


def test_what_kubectl_1_20_asks() -> None:
    assert read("/api")["versions"] == ["v1"]
    resources = {one["name"]: one for one in read("/api/v1")["resources"]}
    assert {name for name in resources if "/" not in name} == {
        *(name for name, kind in KINDS.items() if not kind.group),
        "bindings",
        "componentstatuses",
    }
    assert resources["componentstatuses"]["verbs"] == ["get", "list"]
    assert resources["pods"]["shortNames"] == ["po"]
    assert resources["pods"]["categories"] == ["all"]
    assert "watch" in resources["pods"]["verbs"]
    assert resources["replicationcontrollers/scale"] | {} == {
        "name": "replicationcontrollers/scale",
        "singularName": "",
        "namespaced": True,
        "kind": "Scale",
        "verbs": ["get", "patch", "update"],
        "group": "autoscaling",
        "version": "v1",
    }
    assert resources["nodes"]["namespaced"] is False


@pytest.mark.parametrize(("accept", "version"), [(KUBECTL_1_27, "v2beta1"), (KUBECTL_1_33, "v2")])
def test_aggregated(accept: str, version: str) -> None:
    found = discovery.document("/api", accept)
    assert found is not None
    assert found[1] == AGGREGATED.format(version)
    listed = json.loads(found[0])
    assert (listed["kind"], listed["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}")
    (core,) = listed["items"]
    assert core["metadata"]["name"] == ""
    assert core["versions"][0]["freshness"] == "Current"
    groups = {one["metadata"]["name"]: one["versions"] for one in read("/apis", accept)["items"]}
    assert list(groups) == [
        "coordination.k8s.io",
        "authorization.k8s.io",
        "authentication.k8s.io",
        "discovery.k8s.io",
        "metrics.k8s.io",
    ]
    final, beta = groups["authentication.k8s.io"]
    assert (final["version"], beta["version"]) == ("v1", "v1beta1")
    assert [one for one in final["resources"] if one["resource"] != "tokenreviews"] == [
        {
            "resource": "selfsubjectreviews",
            "responseKind": {"group": "authentication.k8s.io", "version": "v1", "kind": "SelfSubjectReview"},
            "scope": "Cluster",
            "singularResource": "selfsubjectreview",
            "verbs": ["create"],
        }
    ]


def test_both_forms_list_the_same() -> None:
    plain = {one["name"]: one["verbs"] for one in read("/api/v1")["resources"]}
    aggregated = {}
    for one in read("/api", KUBECTL_1_33)["items"][0]["versions"][0]["resources"]:
        aggregated[one["resource"]] = one["verbs"]
        for sub in one.get("subresources", []):
            aggregated[f"{one['resource']}/{sub['subresource']}"] = sub["verbs"]
    assert plain == aggregated


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/json," + AGGREGATED.format("v2")])
def test_plain_unless_aggregated_comes_first(accept: str) -> None:
    assert read("/api", accept)["kind"] == "APIVersions"


def test_version_is_semantic_and_pythonic() -> None:
    version = read("/version")
    assert (version["major"], version["minor"], version["gitVersion"]) == ("0", "18", "v0.18.2+labkit")


def test_openapi_v2_is_protobuf_for_who_asks() -> None:
    asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    found = discovery.document("/openapi/v2", asked)
    assert found is not None
    assert found[0].startswith(b"\x0a\x032.0\x12\x0c\x0a\x06labkit\x12\x02v1")
    assert "protobuf" in found[1]
    assert read("/openapi/v2", "application/json")["swagger"] == "2.0"


def test_groups() -> None:
    """None without resources: kubectl would ask for it again at every command."""
    listed = read("/apis")["groups"]
    assert [one["name"] for one in listed] == [
        "coordination.k8s.io",
        "authorization.k8s.io",
        "authentication.k8s.io",
        "discovery.k8s.io",
        "metrics.k8s.io",
    ]
    for group in listed:
        assert read(f"/apis/{group['name']}") == {"kind": "APIGroup", "apiVersion": "v1", **group}
        assert group["preferredVersion"] in group["versions"]
        for version in group["versions"]:
            resources = read(f"/apis/{version['groupVersion']}")
            assert resources["groupVersion"] == version["groupVersion"]
            assert resources["resources"]


@pytest.mark.parametrize(
    ("path", "resource", "name"),
    [
        ("/api/v1/componentstatuses", "componentstatuses", ""),
        ("/api/v1/componentstatuses/etcd-0", "componentstatuses", "etcd-0"),
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "selfsubjectaccessreviews", ""),
        ("/apis/authentication.k8s.io/v1/selfsubjectreviews/", "selfsubjectreviews", ""),
        ("/api/v1/pods", None, ""),
        ("/api/v1/namespaces/default/componentstatuses", None, ""),
        ("/apis/authorization.k8s.io/v2/selfsubjectaccessreviews", None, ""),
        ("/apis/authorization.k8s.io/v1", None, ""),
        ("/api/v1/componentstatuses/a/b", None, ""),
        ("/apis", None, ""),
        ("/", None, ""),
    ],
)
def test_where_computed_resources_are(path: str, resource: str | None, name: str) -> None:
    place = place_of(path)
    assert (place.resource.resource if place else None) == resource
    assert place is None or (place.name, place.namespace) == (name, "")


def test_nothing_else() -> None:
    assert discovery.document("/openapi/v3/apis/apps/v1") is None
    assert discovery.document("/other/apis/authorization.k8s.io/v1") is None
    assert discovery.document("/apis/authorization.k8s.io/v2") is None
    assert discovery.document("/apis/apps/v1") is None
