"""JSON merge patch, RFC 7386: objects are merged, null removes a member, everything else replaces."""

from typing import Any


def apply(document: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, member in patch.items():
        if member is None:
            merged.pop(name, None)
        else:
            merged[name] = apply(merged.get(name), member)
    return merged
