"""Strategic merge patch: a merge patch that knows the types, so that lists are joined element by element.

    {"spec": {"containers": [{"name": "c", "image": "redis:7"}]}}      changes one container's image

Directives inside of the patch say what a merge alone cannot:

    $patch: replace | delete | merge              this object (or, in an element, the whole list / this element)
    $retainKeys: [a, b]                           all other members of this object go
    $deleteFromPrimitiveList/FIELD: [x]           these values leave the list
    $setElementOrder/FIELD: [{name: a}, ...]      the order of the elements afterwards

Source: the Kubernetes API conventions, "Strategic Merge Patch", and kubectl's use of it.
"""

from collections.abc import Callable
from typing import Any, get_args, get_origin

from labkit.api.codec import fields_of
from labkit.api.errors import BadRequest
from labkit.api.merge_keys import MERGE_KEYS

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def apply(document: Any, patch: dict[str, Any], what: Any) -> Any:
    """what: the type of the document, or None where types end (labels, say)."""
    directive = patch.get(_PATCH)
    if directive == "delete":
        return {}
    original = document if isinstance(document, dict) and directive != "replace" else {}
    if directive not in (None, "merge", "replace"):
        raise BadRequest(f"unknown patch directive {_PATCH}: {directive}")
    merged = _retained(original, patch)
    for name, member in patch.items():
        if name.startswith("$"):
            continue
        if member is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_member(merged.get(name), member, what, name)
    return _with_list_directives(merged, original, patch, what)


def _retained(original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    if _RETAIN not in patch:
        return dict(original)
    keep = _list(patch[_RETAIN], _RETAIN)
    for name, member in patch.items():
        if not name.startswith("$") and member is not None and name not in keep:
            raise BadRequest(f"{_RETAIN} does not list {name}, which the patch sets")
    return {name: member for name, member in original.items() if name in keep}


def _merge_member(old: Any, new: Any, what: Any, name: str) -> Any:
    member_type, key = _type_and_key(what, name)
    if isinstance(new, dict):
        return apply(old, new, member_type)
    if isinstance(new, list):
        elements = get_args(member_type)[0] if get_origin(member_type) is list else None
        if key is None:
            return [_plain(element, elements) for element in new]
        return _merge_lists(old if isinstance(old, list) else [], new, key, elements)
    return new


def _type_and_key(what: Any, name: str) -> tuple[Any, str | None]:
    """The type of a member and, for a list that is joined, its merge key."""
    fields = fields_of(what)
    return (fields or {}).get(name), MERGE_KEYS.get(what, {}).get(name)


def _plain(element: Any, what: Any) -> Any:
    """An element that comes new: nothing to merge with, and no directives left in it."""
    return apply({}, element, what) if isinstance(element, dict) else element


def _merge_lists(old: list[Any], new: list[Any], key: str, what: Any) -> list[Any]:
    if key == "":
        return old + [value for index, value in enumerate(new) if value not in old and value not in new[:index]]
    if any(isinstance(element, dict) and element == {_PATCH: "replace"} for element in new):
        return [_plain(element, what) for element in new if element != {_PATCH: "replace"}]
    merged = list(old)
    for element in new:
        if not isinstance(element, dict) or key not in element:
            raise BadRequest(f"an element of the patch has no {key}, which tells the elements of its list apart")
        known = [index for index, one in enumerate(merged) if isinstance(one, dict) and one.get(key) == element[key]]
        if element.get(_PATCH) == "delete":
            merged = [one for index, one in enumerate(merged) if index not in known]
        elif known:
            merged[known[0]] = apply(merged[known[0]], element, what)
        else:
            merged.append(_plain(element, what))
    return merged


def _with_list_directives(
    merged: dict[str, Any], original: dict[str, Any], patch: dict[str, Any], what: Any
) -> dict[str, Any]:
    for directive, values in patch.items():
        if directive.startswith(_DELETE):
            name = directive.removeprefix(_DELETE)
            gone = _list(values, directive)
            if isinstance(merged.get(name), list):
                merged[name] = [value for value in merged[name] if value not in gone]
    for directive, order in patch.items():
        if directive.startswith(_ORDER):
            name = directive.removeprefix(_ORDER)
            elements, before = merged.get(name), original.get(name)
            if isinstance(elements, list):
                key = _type_and_key(what, name)[1] or ""
                before = before if isinstance(before, list) else []
                merged[name] = _ordered(elements, _list(order, directive), before, _identity(key))
    return merged


def _list(value: Any, directive: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"{directive} is a list")
    return value


def _identity(key: str) -> Callable[[Any], Any]:
    return lambda element: element.get(key) if isinstance(element, dict) else element


def _ordered(elements: list[Any], order: list[Any], before: list[Any], name: Callable[[Any], Any]) -> list[Any]:
    """Elements that the patch orders in its order; between them the others, where they stood before."""
    wanted, served = [name(element) for element in order], [name(element) for element in before]
    ranked = sorted((one for one in elements if name(one) in wanted), key=lambda one: wanted.index(name(one)))
    others = [one for one in elements if name(one) not in wanted]
    result = []
    while ranked and others:
        left, right = name(others[0]), name(ranked[0])
        other_first = left in served and right in served and served.index(left) < served.index(right)
        result.append(others.pop(0) if other_first else ranked.pop(0))
    return result + ranked + others
