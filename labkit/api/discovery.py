"""What a client asks before anything else: which versions, which resources, which schema.

    /api  /apis            versions and groups; since kubectl 1.26 everything at once (aggregated discovery)
    /api/v1  /apis/GROUP/VERSION    the resources of a version with their verbs
    /version               chooses the client in distributions whose kubectl dispatches by it
    /openapi/v3, /openapi/v2    the schema: where it is and JSON; or all of it at once, as protobuf
    /                      the paths that there are

/apis is there even without a group: a 404 is fatal for kubectl 1.32. A version without resources would be asked for
again by every command: there is none.
Source: API conventions, apidiscovery.k8s.io, and what kubectl 1.20 to 1.33 were seen to ask.
"""

import platform
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from labkit.api import computed, openapi
from labkit.api.kinds import KINDS, Resource

JSON = "application/json"
OPENAPI_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# Semantic versioning for kubectl and a legal version for Python's clients, which both read it.
GIT_VERSION = "v0.18.2+labkit"


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
    "token": _Subresource("TokenRequest", ("create",), "authentication.k8s.io"),
    "finalize": _Subresource("", ("update",)),
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
    if page:
        return page(), JSON
    found = _of_group(path)
    return (found, JSON) if found else None


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


def _core() -> list[Resource]:
    """All resources of v1 but bindings, which have no kind of their own."""
    rows = [row for row in (*KINDS.values(), *computed.COMPUTED) if not row.group]
    return sorted(rows, key=lambda row: row.resource)


def _of_group(path: str) -> bytes | None:
    """/apis/GROUP, /apis/GROUP/VERSION and its schema; None for a group that there is not."""
    root, _, name = path.partition("/apis/")
    group, _, version = name.partition("/")
    versions = computed.groups().get(group, {})
    if root == "" and versions and not version:
        return _json({"kind": "APIGroup", "apiVersion": "v1", **_group(group)})
    if version not in versions:
        return None
    if root == "/openapi/v3":
        return openapi.v3(group, version)
    return _json(_resource_list(f"{group}/{version}", versions[version])) if root == "" else None


def _group_list() -> dict[str, Any]:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in computed.groups()]}


def _group(name: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in computed.groups()[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _core_list() -> dict[str, Any]:
    listed = _resource_list("v1", _core())
    bindings = {"name": "bindings", "singularName": "binding", "namespaced": True, "kind": "Binding"}
    listed["resources"].insert(0, bindings | {"verbs": ["create"]})
    return listed


def _resource_list(group_version: str, rows: Iterable[Resource]) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    for row in rows:
        resources.append(_resource(row))
        resources += [_subresource(row, name) for name in sorted(row.subresources)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _resource(kind: Resource) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "name": kind.resource,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs,
    }
    if kind.short_names:
        resource["shortNames"] = kind.short_names
    if kind.in_all:
        resource["categories"] = ["all"]
    return resource


def _subresource(kind: Resource, name: str) -> dict[str, Any]:
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
    bindings = {
        "resource": "bindings",
        "responseKind": {"group": "", "version": "v1", "kind": "Binding"},
        "scope": "Namespaced",
        "singularResource": "binding",
        "verbs": ["create"],
    }
    if core:
        items = [_aggregated_group("", {"v1": [bindings, *map(_aggregated_resource, _core())]})]
    else:
        items = [
            _aggregated_group(name, {version: list(map(_aggregated_resource, rows)) for version, rows in group.items()})
            for name, group in computed.groups().items()
        ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{asked}",
        "metadata": {},
        "items": items,
    }


def _aggregated_group(name: str, versions: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    listed = [
        {"version": version, "resources": resources, "freshness": "Current"} for version, resources in versions.items()
    ]
    return {"metadata": {"name": name}, "versions": listed}


def _aggregated_resource(kind: Resource) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resource": kind.resource,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    }
    if kind.short_names:
        resource["shortNames"] = kind.short_names
    if kind.in_all:
        resource["categories"] = ["all"]
    if kind.subresources:
        resource["subresources"] = [_aggregated_subresource(kind, name) for name in sorted(kind.subresources)]
    return resource


def _aggregated_subresource(kind: Resource, name: str) -> dict[str, Any]:
    sub = _SUBRESOURCES[name]
    response = {"group": sub.group, "version": sub.version, "kind": sub.kind.format(kind.kind) or kind.kind}
    return {"subresource": name, "responseKind": response, "verbs": sub.verbs}


# -- pages ---------------------------------------------------------------------------------------------------------


def _paths() -> dict[str, Any]:
    return {"paths": sorted([*_PAGES, "/healthz", "/healthz/ping"])}


_PAGES: dict[str, Callable[[], bytes]] = {
    "/": lambda: _json(_paths()),
    "/api": lambda: _json({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
    "/api/v1": lambda: _json(_core_list()),
    "/apis": lambda: _json(_group_list()),
    "/openapi/v2": openapi.v2_json,
    "/openapi/v3": openapi.index,
    "/openapi/v3/api/v1": lambda: openapi.v3("", "v1"),
    "/version": lambda: _json(version()),
}
