"""What clients send: objects, patches, options. Everything that is wrong with it becomes a Status here.

Objects come as JSON or (kubectl 1.32 and later) as protobuf; a body without a Content-Type is taken for JSON, YAML is
refused as by the original.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from labkit.api import codec, patch, protobuf
from labkit.api.errors import BadRequest, Fault, Invalid, UnsupportedMediaType
from labkit.api.types import DeleteOptions
from labkit.components.kube_apiserver.messages import JSON, Request

PROTOBUF = "application/vnd.kubernetes.protobuf"
# No Content-Type (kubectl scale), and what curl says when it is told nothing: 1.0 did not look at it either.
_TAKEN_FOR_JSON = ("", JSON, "*/*", "application/x-www-form-urlencoded")

PROPAGATION = ("Background", "Foreground", "Orphan")


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def read(request: Request, what: type[Any]) -> tuple[Any, list[str]]:
    """The object in the body, and what a client should be warned of (fieldValidation=Warn)."""
    given = content_type(request)
    if given == PROTOBUF:
        return codec.from_builtins(protobuf.decode(request.body), what), []
    if given not in _TAKEN_FOR_JSON:
        raise UnsupportedMediaType(f"the body is {given}: expected {JSON} or {PROTOBUF}")
    return codec.decode(request.body, what), field_warnings(request, request.body, what, "Ignore")


def field_warnings(request: Request, body: bytes, what: type[Any], default: str) -> list[str]:
    """Unknown and doubled fields: an error under Strict, warnings under Warn, nothing otherwise."""
    mode = request.query.get("fieldValidation") or default
    if mode not in ("Ignore", "Warn", "Strict"):
        raise BadRequest(f"fieldValidation: unsupported value {mode!r}: expected Ignore, Warn or Strict")
    faults = codec.field_faults(body, what) if mode in ("Warn", "Strict") else []
    if faults and mode == "Strict":
        raise codec.strict_error(what, faults)
    return faults


def read_patch(request: Request, what: type[Any]) -> tuple[Callable[[Any], Any], list[str]]:
    """A function from the object that is there to the patched one; its faults come out when it is called, and the
    warnings are there then. A POST without fieldValidation is taken as in 1.0, which said nothing; a PATCH is warned
    about: it is how `kubectl taint` and its like change fields that API v1 did not have."""
    given, body = content_type(request), request.body
    warnings: list[str] = []
    if request.flag("force"):
        fault = Fault("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch")
        raise Invalid.of("PatchOptions.meta.k8s.io", "", [fault])

    def change(old: Any) -> Any:
        patched = patch.apply(given, codec.to_builtins(old), body, what)
        warnings[:] = field_warnings(request, msgspec.json.encode(patched), what, "Warn")
        return codec.from_builtins(patched, what)

    return change, warnings


class Applied(NamedTuple):
    """A server-side apply: the fields that the manager wants, and whether it takes them from others."""

    config: dict[str, Any]
    manager: str
    force: bool


def read_apply(request: Request) -> Applied:
    """Raises BadRequest, Invalid."""
    manager = request.query.get("fieldManager", "")
    if not manager:
        fault = Fault("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")
        raise Invalid.of("PatchOptions.meta.k8s.io", "", [fault])
    config = patch.parse(request.body, patch.APPLY)
    meta = config.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    return Applied(config, manager, request.flag("force"))


def manager_of(request: Request) -> str:
    """Who changes fields: the client's own word for it, or its program."""
    return request.query.get("fieldManager") or request.headers.get("user-agent", "").partition("/")[0] or "unknown"


def read_delete_options(request: Request) -> DeleteOptions:
    """Body and query may both carry them; the body wins."""
    options = DeleteOptions()
    if request.body.strip():
        options = read(request, DeleteOptions)[0]
    asked = request.query.get("gracePeriodSeconds")
    if asked is not None and options.grace_period_seconds is None:
        options.grace_period_seconds = number(asked, "gracePeriodSeconds")
    options.propagation_policy = options.propagation_policy or request.query.get("propagationPolicy", "")
    if options.propagation_policy not in ("", *PROPAGATION):
        raise BadRequest(f"propagationPolicy: {options.propagation_policy!r}: expected one of {', '.join(PROPAGATION)}")
    return options


def is_dry_run(request: Request, options: DeleteOptions | None = None) -> bool:
    asked = request.query.get("dryRun", "") or (",".join(options.dry_run) if options else "")
    if asked not in ("", "All"):
        raise BadRequest(f"dryRun: unsupported value {asked!r}: expected All")
    return asked == "All"


def check_match(query: Mapping[str, str], *, watch: bool = False) -> None:
    """resourceVersionMatch: NotOlderThan (what a list at a resourceVersion is), or Exact. Raises Invalid, in the words
    of Kubernetes 1.19, which brought it."""
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    field = "resourceVersionMatch"
    if "sendInitialEvents" in query and not watch:
        field, why = "sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list"
    elif not match or "sendInitialEvents" in query:
        return
    elif watch:
        why = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    elif not version:
        why = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif query.get("continue"):
        why = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
    elif match not in ("Exact", "NotOlderThan"):
        why = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
    elif match == "Exact" and version == "0":
        why = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    else:
        return
    reason = "FieldValueNotSupported" if why.startswith("Uns") else "FieldValueForbidden"
    raise Invalid.of("ListOptions.meta.k8s.io", "", [Fault(reason, field, why)])


def is_exact(query: Mapping[str, str], limit: int) -> bool:
    """Whether a list is to be as of its resourceVersion, not later; with a limit, also when that is not said."""
    match = query.get("resourceVersionMatch", "")
    return match == "Exact" or (not match and limit > 0 and query.get("resourceVersion", "") not in ("", "0"))


def number(text: str, name: str) -> int:
    """A count from the query; 0 when absent."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest(f"{name}: invalid value {text!r}: expected a number of at least 0")
    return int(text)
