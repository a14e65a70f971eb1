"""A document as the set of its fields.

    ("f:spec", 'f:containers', 'k:{"name":"web"}', "f:image")        one field: `.spec.containers[name="web"].image`

The steps are those of `fieldsV1`: `f:` a member, `k:` the element of a list with these keys, `v:` a value of a set.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from labkit.api.errors import BadRequest
from labkit.api.ownership.shapes import KEY_DEFAULTS, Shape, element, member, of_type
from labkit.api.types import Part

Path = tuple[str, ...]
Paths = frozenset[Path]
_ELEMENT = object()  # in place of a value: the element is there
# Nobody owns these: they say which object it is, or the server sets them.
_NOBODYS = {("f:apiVersion",), ("f:kind",)} | {
    ("f:metadata", f"f:{name}")
    for name in ("name", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
                 "managedFields", "clusterName")
}  # fmt: skip


def values_of(document: Any, what: type[Part]) -> dict[Path, Any]:
    """Each field of the document that can be owned, with its value. Raises BadRequest: an element without its keys, or
    two with the same."""
    found: dict[Path, Any] = {}
    _walk(document, of_type(what), (), found)
    return {path: value for path, value in found.items() if path[:2] not in _NOBODYS and path[:1] not in _NOBODYS}


def paths_of(document: Any, what: type[Part]) -> Paths:
    return frozenset(values_of(document, what))


def _walk(value: Any, shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    if value is None:
        return
    if shape.kind in ("struct", "map") and isinstance(value, dict):
        if not value and path:
            found[path] = {}
        for name, inner in value.items():
            _walk(inner, member(shape, name), (*path, f"f:{name}"), found)
    elif shape.kind in ("keyed", "set") and isinstance(value, list):
        for step, one in named(value, shape, path):
            if (*path, step) in found:
                raise BadRequest(f"{spoken((*path, step))}: there are two of it")
            found[(*path, step)] = _ELEMENT if shape.kind == "keyed" else one
            if shape.kind == "keyed":
                _walk(one, element(shape), (*path, step), found)
    else:
        found[path] = value


def named(elements: list[Any], shape: Shape, path: Path = ()) -> Iterator[tuple[str, Any]]:
    """The elements of a joined list, each with its step. Raises BadRequest."""
    for index, one in enumerate(elements):
        if shape.kind == "set":
            yield f"v:{_json(one)}", one
            continue
        if not isinstance(one, dict):
            raise BadRequest(f"{spoken(path)}: element {index} is not an object")
        keys = {key: one.get(key, KEY_DEFAULTS.get(key)) for key in shape.keys}
        if missing := [key for key, value in keys.items() if value is None]:
            raise BadRequest(f"{spoken(path)}: element {index} omits {missing[0]}, which tells the elements apart")
        yield f"k:{_json(keys)}", one


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


# -- fieldsV1 --------------------------------------------------------------------------------------------------------


def to_fields(paths: Iterable[Path]) -> dict[str, Any]:
    """As a tree; "." says that a field with others below it is meant itself."""
    tree: dict[str, Any] = {}
    listed = sorted(paths)
    for path in listed:
        here = tree
        for step in path:
            here = here.setdefault(step, {})
    owned = set(listed)
    for path in listed:
        here = tree
        for step in path:
            here = here[step]
        if here and path in owned:
            here["."] = {}
    return tree


def from_fields(tree: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """Raises BadRequest for what is no such tree."""
    for step, below in tree.items():
        if not isinstance(below, Mapping) or not (step == "." or step[:2] in ("f:", "k:", "v:", "i:")):
            raise BadRequest(f"metadata.managedFields: {step!r} under {spoken(path) or 'fieldsV1'} is no field")
        if step == ".":
            yield path
        elif below:
            yield from from_fields(below, (*path, step))
        else:
            yield (*path, step)


def spoken(path: Path) -> str:
    """`.spec.containers[name="web"].image`."""
    return "".join(_spoken(step) for step in path)


def _spoken(step: str) -> str:
    kind, _, text = step.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    if kind == "i":
        return f"[{text}]"
    try:
        return "[" + ",".join(f"{key}={_json(value)}" for key, value in msgspec.json.decode(text).items()) + "]"
    except (msgspec.DecodeError, AttributeError):
        return f"[{text}]"
