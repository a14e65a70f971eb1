"""What a client asks before anything else: which versions, which resources, which schema.

    /api  /apis            versions and groups; since kubectl 1.26 everything at once (aggregated discovery)
    /api/v1                the resources of v1 with their verbs
    /version               chooses the client in distributions whose kubectl dispatches by it
    /openapi/v3, /openapi/v2    the schema: where it is and JSON; or all of it at once, as protobuf
    /                      the paths that there are

There are no groups beside the core one, and /apis says so: a 404 is fatal for kubectl 1.32.
Source: API conventions, apidiscovery.k8s.io, and what kubectl 1.20 to 1.33 were seen to ask.
"""

import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from labkit.api import openapi
from labkit.api.kinds import KINDS, Kind

JSON = "application/json"
OPENAPI_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# Semantic versioning for kubectl and a legal version for Python's clients, which both read it.
GIT_VERSION = "v0.18.2+labkit"

_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")


class _Subresource(NamedTuple):
    kind: str  # "": the kind that it hangs below; {} stands for its name
    verbs: tuple[str, ...]
    group: str = ""
    version: str = "v1"


_SUBRESOURCES = {
    "status": _Subresource("", ("get", "patch", "update")),
    "scale": _Subresource("Scale", ("get", "patch", "update"), "autoscaling"),
    "binding": _Subresource("Binding", ("create",)),
    "log": _Subresource("", ("get",)),
    "eviction": _Subresource("Eviction", ("create",), "policy"),
    "exec": _Subresource("PodExecOptions", ("create", "get")),
    "attach": _Subresource("PodAttachOptions", ("create", "get")),
    "portforward": _Subresource("PodPortForwardOptions", ("create", "get")),
    "proxy": _Subresource("{}ProxyOptions", ("create", "delete", "get", "patch", "update")),
}


def document(path: str, accept: str = "") -> tuple[bytes, str] | None:
    """(body, content type) of a GET; None when there is nothing at this path. path: without a slash at its end."""
    aggregated = _aggregated_version(accept)
    if aggregated and path in ("/api", "/apis"):
        content_type = f"{JSON};g=apidiscovery.k8s.io;v={aggregated};as=APIGroupDiscoveryList"
        return _json(_aggregated(aggregated, core=path == "/api")), content_type
    if path == "/openapi/v2" and "protobuf" in accept:
        return openapi.v2_protobuf(), OPENAPI_PROTOBUF
    page = _PAGES.get(path)
    return (page(), JSON) if page else None


def version() -> dict[str, str]:
    """Kubernetes' version as far as its API goes; the rest says what really runs."""
    major, minor, _ = GIT_VERSION.removeprefix("v").split(".", 2)
    return {
        "major": major,
        "minor": minor,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"linux/{platform.machine()}",
    }


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


# -- plain ---------------------------------------------------------------------------------------------------------


def _resource_list() -> dict[str, Any]:
    resources: list[dict[str, Any]] = [
        {"name": "bindings", "singularName": "binding", "namespaced": True, "kind": "Binding", "verbs": ["create"]}
    ]
    for kind in sorted(KINDS.values(), key=lambda kind: kind.resource):
        resources.append(_resource(kind))
        resources += [_subresource(kind, name) for name in sorted(kind.subresources)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": resources}


def _resource(kind: Kind) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "name": kind.resource,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _VERBS,
    }
    if kind.short_names:
        resource["shortNames"] = kind.short_names
    if kind.in_all:
        resource["categories"] = ["all"]
    return resource


def _subresource(kind: Kind, name: str) -> dict[str, Any]:
    sub = _SUBRESOURCES[name]
    resource: dict[str, Any] = {
        "name": f"{kind.resource}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": sub.kind.format(kind.kind) or kind.kind,
        "verbs": sub.verbs,
    }
    if sub.group:
        resource |= {"group": sub.group, "version": sub.version}
    return resource


# -- aggregated ----------------------------------------------------------------------------------------------------


def _aggregated_version(accept: str) -> str:
    """`v2` or `v2beta1`: the first choice of an Accept header, when that is aggregated discovery."""
    for choice in accept.split(","):
        parts = {part.strip() for part in choice.split(";")}
        if parts & {JSON, "*/*", "application/*"}:
            if "as=APIGroupDiscoveryList" not in parts:
                return ""
            for asked in ("v2", "v2beta1"):
                if f"v={asked}" in parts:
                    return asked
    return ""


def _aggregated(asked: str, *, core: bool) -> dict[str, Any]:
    resources = [_aggregated_resource(kind) for kind in sorted(KINDS.values(), key=lambda kind: kind.resource)]
    bindings = {
        "resource": "bindings",
        "responseKind": {"group": "", "version": "v1", "kind": "Binding"},
        "scope": "Namespaced",
        "singularResource": "binding",
        "verbs": ["create"],
    }
    versions = [{"version": "v1", "resources": [bindings, *resources], "freshness": "Current"}]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{asked}",
        "metadata": {},
        "items": [{"metadata": {"name": ""}, "versions": versions}] if core else [],
    }


def _aggregated_resource(kind: Kind) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resource": kind.resource,
        "responseKind": {"group": "", "version": "v1", "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": _VERBS,
    }
    if kind.short_names:
        resource["shortNames"] = kind.short_names
    if kind.in_all:
        resource["categories"] = ["all"]
    if kind.subresources:
        resource["subresources"] = [_aggregated_subresource(kind, name) for name in sorted(kind.subresources)]
    return resource


def _aggregated_subresource(kind: Kind, name: str) -> dict[str, Any]:
    sub = _SUBRESOURCES[name]
    response = {"group": sub.group, "version": sub.version, "kind": sub.kind.format(kind.kind) or kind.kind}
    return {"subresource": name, "responseKind": response, "verbs": sub.verbs}


# -- pages ---------------------------------------------------------------------------------------------------------


def _paths() -> dict[str, Any]:
    return {"paths": sorted([*_PAGES, "/healthz", "/healthz/ping"])}


_PAGES: dict[str, Callable[[], bytes]] = {
    "/": lambda: _json(_paths()),
    "/api": lambda: _json({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
    "/api/v1": lambda: _json(_resource_list()),
    "/apis": lambda: _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
    "/openapi/v2": openapi.v2_json,
    "/openapi/v3": openapi.index,
    "/openapi/v3/api/v1": openapi.core,
    "/version": lambda: _json(version()),
}
