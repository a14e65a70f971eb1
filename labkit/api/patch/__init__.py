"""PATCH in its dialects, each a function from two documents (dicts, lists, texts) to a third.

    application/json-patch+json              json_patch.apply         RFC 6902, a list of operations
    application/merge-patch+json             merge.apply              RFC 7386, null removes
    application/strategic-merge-patch+json   strategic.apply          lists joined by key, with directives

A server-side apply (application/apply-patch+yaml) is none of these: `api/ownership`.

The documents that are given stay as they are.
"""

from typing import Any

import msgspec

from labkit.api.errors import BadRequest, UnsupportedMediaType
from labkit.api.patch import apply_yaml, json_patch, merge, strategic
from labkit.api.types import Part

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

__all__ = ["APPLY", "JSON_PATCH", "MERGE", "STRATEGIC", "apply", "json_patch", "merge", "parse", "strategic"]


def apply(content_type: str, document: Any, body: bytes, what: type[Part]) -> Any:
    """The document of a `what` with the patch applied, ready for `codec.from_builtins`.

    UnsupportedMediaType for another content type; BadRequest when the body is no patch; Invalid when a JSON patch does
    not fit the document.
    """
    dialect = content_type.partition(";")[0].strip().lower()
    if dialect not in (JSON_PATCH, MERGE, STRATEGIC):
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: "
            f"{JSON_PATCH}, {MERGE}, {STRATEGIC}, {APPLY}"
        )
    patch = parse(body, dialect)
    try:
        if dialect == JSON_PATCH:
            return json_patch.apply(document, patch)
        return merge.apply(document, patch) if dialect == MERGE else strategic.apply(document, patch, what)
    except RecursionError as exc:
        raise BadRequest("the patch exceeds the maximum depth") from exc


def parse(body: bytes, dialect: str) -> Any:
    """The document in the body. Raises BadRequest."""
    try:
        patch = apply_yaml.load(body) if dialect == APPLY else msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRequest(f"the patch is not JSON: {exc}") from exc
    if dialect != JSON_PATCH and not isinstance(patch, dict):
        raise BadRequest(f"a {dialect} body is an object, not a {type(patch).__name__}")
    return patch
