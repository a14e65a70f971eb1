"""From the table of kinds to paths and operations: what can be done with each resource, and with which parameters.

    /api/v1/namespaces/{namespace}/pods            list, create, delete all        (and /api/v1/pods: list of all)
    /api/v1/namespaces/{namespace}/pods/{name}     read, replace, patch, delete
    .../{name}/status  /scale  /binding  /log ...  what the kind's row in `api/kinds` names
    /apis/authorization.k8s.io/v1/...              what `api/computed` names

An operation carries kind, group and version: that is how kubectl finds the resource of a kind, and whether its PATCH
knows dryRun and fieldValidation. Written once, as OpenAPI 3; `v2` rewrites it for OpenAPI 2.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labkit.api import patch
from labkit.api.kinds import KINDS, Kind, Resource
from labkit.api.openapi.schemas import Schema, full_name
from labkit.api.strategies import strategy_of

JSON = "application/json"
PATCHES = (patch.JSON_PATCH, patch.MERGE, patch.STRATEGIC, patch.APPLY)
Operation = dict[str, Any]
PathItem = dict[str, Any]

_TEXT, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer", "format": "int64"}, {"type": "boolean"}
_PRETTY = {"pretty": (_TEXT, "true: the answer is made to be read.")}
_SELECT = {
    "labelSelector": (_TEXT, "Only objects with such labels: app=web,tier in (a,b),!canary."),
    "fieldSelector": (_TEXT, "Only objects with such fields: metadata.name=x,status.phase!=Running."),
}
_READ = {"resourceVersion": (_TEXT, "What is read must be at least as new as this; 0: whatever the server has.")}
_LIST = {
    **_SELECT,
    **_READ,
    "limit": (_NUMBER, "At most so many objects; the rest can be had with continue."),
    "continue": (_TEXT, "Goes on where a list that was cut off by limit ended."),
    "watch": (_FLAG, "Answer with a stream of changes in place of a list."),
    "timeoutSeconds": (_NUMBER, "How long a watch lasts."),
    "allowWatchBookmarks": (_FLAG, "Whether a watch may also tell how far it is."),
    **_PRETTY,
}
_WRITE = {
    "dryRun": (_TEXT, "All: do everything but store it."),
    "fieldManager": (_TEXT, "Who is changing the object."),
    "fieldValidation": (_TEXT, "What becomes of unknown and doubled fields: Ignore (the default), Warn or Strict."),
    **_PRETTY,
}
_PATCH = _WRITE | {"force": (_FLAG, "Whether apply takes fields from others; it always does.")}
_DELETE = {
    "dryRun": _WRITE["dryRun"],
    "gracePeriodSeconds": (_NUMBER, "How long the object has to end; 0 is at once."),
    "propagationPolicy": (_TEXT, "What happens to what belongs to the object: Orphan, Background or Foreground."),
    **_PRETTY,
}
_LOG = {
    "container": (_TEXT, "Whose log, when the pod has several containers."),
    "follow": (_FLAG, "Go on as the log grows."),
    "previous": (_FLAG, "The log of the container before the last restart."),
    "sinceSeconds": (_NUMBER, "Only what is not older than this."),
    "sinceTime": (_TEXT, "Only what is not older than this moment (RFC 3339)."),
    "tailLines": (_NUMBER, "Only so many lines, the last ones."),
    "limitBytes": (_NUMBER, "Only so many bytes."),
    "timestamps": (_FLAG, "Begin each line with its time."),
}
_STREAMS = {
    "container": _LOG["container"],
    "stdin": (_FLAG, "Whether the client writes to its standard input."),
    "stdout": (_FLAG, "Whether the client reads its standard output."),
    "stderr": (_FLAG, "Whether the client reads its standard error."),
    "tty": (_FLAG, "Whether it has a terminal."),
}
_COMMAND = {"command": (_TEXT, "The command; given again for each of its arguments.")}
_PORTS = {"ports": (_NUMBER, "The pod's port; a SPDY client names it stream by stream.")}
_IN_PATH = {"namespace": "The namespace's name.", "name": "The object's name."}


def of_rows(rows: Iterable[Resource]) -> dict[str, PathItem]:
    """Every path of these resources, as OpenAPI 3."""
    found: dict[str, dict[str, Operation]] = {}
    for row in sorted(rows, key=lambda row: (row.group, row.resource)):
        found.update(_of_kind(row) if isinstance(row, Kind) else _of_computed(row))
        if row.resource == "pods":
            binding = {"post": _binding("createCoreV1NamespacedBinding")}
            found["/api/v1/namespaces/{namespace}/bindings"] = binding
    return {path: operations | {"parameters": _in_path(path)} for path, operations in found.items()}


def _of_computed(row: Resource) -> Iterator[tuple[str, dict[str, Operation]]]:
    """What the server works out: to be asked by POST, or to be read."""
    called = f"{_group(row)}{'Namespaced' if row.namespaced else ''}{row.kind}"
    collection = f"{row.root}/{'namespaces/{namespace}/' if row.namespaced else ''}{row.resource}"
    if "create" in row.verbs:
        yield (
            collection,
            {"post": _operation(row, "post", f"create{called}", _WRITE, body=row.type.__name__, code="201")},
        )
    asked = _LIST if "watch" in row.verbs else _SELECT | _PRETTY
    if "list" in row.verbs:
        yield collection, {"get": _operation(row, "list", f"list{called}", asked, answer=row.list_kind)}
    if "get" in row.verbs:
        yield f"{collection}/{{name}}", {"get": _operation(row, "get", f"read{called}", _PRETTY)}
    if "list" in row.verbs and row.namespaced:
        everywhere = f"list{called.replace('Namespaced', '')}ForAllNamespaces"
        item = {"get": _operation(row, "list", everywhere, asked, answer=row.list_kind)}
        yield f"{row.root}/{row.resource}", item


def _group(row: Resource) -> str:
    """What the operations of its group are called: `CoreV1`, `CoordinationV1`."""
    return (row.group.partition(".")[0].capitalize() or "Core") + row.version.capitalize()


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": _IN_PATH[name], "schema": _TEXT}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _of_kind(kind: Kind) -> Iterator[tuple[str, dict[str, Operation]]]:
    """The operations of each path that a kind has."""
    scope = "namespaces/{namespace}/" if kind.namespaced else ""
    group, called = _group(kind), ("Namespaced" if kind.namespaced else "") + kind.kind
    collection = f"{kind.root}/{scope}{kind.resource}"
    if kind.namespaced:
        everywhere = f"list{group}{kind.kind}ForAllNamespaces"
        item = {"get": _operation(kind, "list", everywhere, _LIST, answer=kind.list_kind)}
        yield f"{kind.root}/{kind.resource}", item
    operations = {
        "get": _operation(kind, "list", f"list{group}{called}", _LIST, answer=kind.list_kind),
        "post": _operation(kind, "post", f"create{group}{called}", _WRITE, body=kind.kind, code="201"),
    }
    if "deletecollection" in kind.verbs:
        operations["delete"] = _operation(
            kind, "deletecollection", f"delete{group}Collection{called}", _SELECT | _DELETE, body="DeleteOptions",
            answer=kind.list_kind,
        )  # fmt: skip
    yield collection, operations
    yield f"{collection}/{{name}}", _whole(kind, called) | {"delete": _deletion(kind, f"delete{group}{called}")}
    for name in kind.subresources:
        yield f"{collection}/{{name}}/{name}", _SUBRESOURCES[name](kind, f"{called}{name.capitalize()}")


def _whole(kind: Kind, called: str) -> dict[str, Operation]:
    """Reading and changing one object, or its status."""
    return {
        "get": _operation(kind, "get", f"read{_group(kind)}{called}", _READ | _PRETTY),
        "put": _operation(kind, "put", f"replace{_group(kind)}{called}", _WRITE, body=kind.kind),
        "patch": _operation(kind, "patch", f"patch{_group(kind)}{called}", _PATCH, body="Patch"),
    }


def _deletion(kind: Kind, called: str) -> Operation:
    answer = "" if strategy_of(kind).delete_answers_object else "Status"
    return _operation(kind, "delete", called, _DELETE, body="DeleteOptions", answer=answer)


def _scale(kind: Kind, called: str) -> dict[str, Operation]:
    operations = _whole(kind, called)
    for operation in operations.values():
        operation["x-kubernetes-group-version-kind"] = {"group": "autoscaling", "kind": "Scale", "version": "v1"}
        operation["responses"]["200"]["content"] = _content("Scale")
    operations["put"]["requestBody"]["content"] = _content("Scale")
    return operations


def _binding(called: str) -> Operation:
    operation = _operation(KINDS["pods"], "post", called, _WRITE, body="Binding", answer="Status", code="201")
    return operation | {"x-kubernetes-group-version-kind": {"group": "", "kind": "Binding", "version": "v1"}}


def _eviction(kind: Kind, called: str) -> dict[str, Operation]:
    operation = _operation(kind, "post", f"createCoreV1{called}", _WRITE, body="Eviction", answer="Status", code="201")
    gvk = {"group": "policy", "kind": "Eviction", "version": "v1"}
    return {"post": operation | {"x-kubernetes-group-version-kind": gvk}}


def _token(kind: Kind, called: str) -> dict[str, Operation]:
    operation = _operation(
        kind, "post", f"createCoreV1{called}", _WRITE, body="TokenRequest", answer="TokenRequest", code="201"
    )
    gvk = {"group": "authentication.k8s.io", "kind": "TokenRequest", "version": "v1"}
    return {"post": operation | {"x-kubernetes-group-version-kind": gvk}}


def _log(kind: Kind, called: str) -> dict[str, Operation]:
    operation = _operation(kind, "get", f"readCoreV1{called}", _LOG)
    operation["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return {"get": operation}


def _finalize(kind: Kind, called: str) -> dict[str, Operation]:
    return {"put": _operation(kind, "put", f"replaceCoreV1{called}", _WRITE, body=kind.kind)}


def _connection(
    options: str, methods: tuple[str, ...], query: dict[str, tuple[Schema, str]]
) -> Callable[[Kind, str], dict[str, Operation]]:
    """What is not answered with an object: a stream both ways, or whatever the other end says.

    options: the kind that discovery names, `{}` standing for the kind that it hangs below.
    """

    def operations(kind: Kind, called: str) -> dict[str, Operation]:
        found = {}
        for method in methods:
            operation = _operation(kind, "connect", f"connectCoreV1{method.capitalize()}{called}", query)
            operation["responses"]["200"]["content"] = {"*/*": {"schema": {"type": "string"}}}
            gvk = {"group": "", "kind": options.format(kind.kind), "version": "v1"}
            found[method] = operation | {"x-kubernetes-group-version-kind": gvk}
        return found

    return operations


_SUBRESOURCES: dict[str, Callable[[Kind, str], dict[str, Operation]]] = {
    "status": _whole,
    "scale": _scale,
    "finalize": _finalize,
    "binding": lambda kind, called: {"post": _binding(f"createCoreV1{called}")},
    "eviction": _eviction,
    "token": _token,
    "log": _log,
    "exec": _connection("PodExecOptions", ("get", "post"), _STREAMS | _COMMAND),
    "attach": _connection("PodAttachOptions", ("get", "post"), _STREAMS),
    "portforward": _connection("PodPortForwardOptions", ("get", "post"), _PORTS),
    "proxy": _connection("{}ProxyOptions", ("get", "post", "put", "patch", "delete"), {}),
}


# -- pieces ----------------------------------------------------------------------------------------------------------


def _operation(
    kind: Resource, action: str, called: str, query: dict[str, tuple[Schema, str]], *, body: str = "", answer: str = "",
    code: str = "200",
) -> Operation:  # fmt: skip
    """answer: the type that is answered; the kind itself unless told."""
    operation: Operation = {
        "operationId": called,
        "tags": [f"{kind.group.partition('.')[0] or 'core'}_{kind.version}"],
        "parameters": [
            {"name": name, "in": "query", "description": text, "schema": schema}
            for name, (schema, text) in query.items()
        ],
        "responses": {code: {"description": "OK", "content": _content(answer or kind.type.__name__)}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "kind": kind.kind, "version": kind.version},
    }
    if body == "Patch":
        content = {dialect: {"schema": _ANY_PATCH[dialect]} for dialect in PATCHES}
        operation["requestBody"] = {"required": True, "content": content}
    elif body:
        operation["requestBody"] = {"required": body != "DeleteOptions", "content": _content(body)}
    return operation


_ANY_PATCH: dict[str, Schema] = {dialect: {"type": "object"} for dialect in PATCHES} | {
    patch.JSON_PATCH: {"type": "array", "items": {"type": "object"}}
}


def _content(name: str) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{full_name(name)}"}}}
