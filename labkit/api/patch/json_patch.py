"""JSON patch, RFC 6902: operations one after the other on paths (RFC 6901), all of them or none.

    [{"op": "add", "path": "/metadata/labels/app", "value": "a"}, {"op": "remove", "path": "/spec/containers/1"}]

A list of operations that makes no sense is a BadRequest, one that does not fit the document is Invalid.
"""

import re
from typing import Any

import msgspec

from labkit.api.errors import BadRequest, Invalid

_LONGEST = 10_000  # operations, as in Kubernetes


class _Operation(msgspec.Struct, rename={"from_": "from"}):
    op: str
    path: str
    from_: str | None = None
    value: Any = msgspec.UNSET


def apply(document: Any, patch: Any) -> Any:
    try:
        operations = msgspec.convert(patch, list[_Operation])
    except msgspec.ValidationError as exc:
        raise BadRequest(f"a JSON patch is a list of operations: {exc}") from exc
    if len(operations) > _LONGEST:
        raise BadRequest(f"a JSON patch has at most {_LONGEST} operations, this one {len(operations)}")
    root = {"": _copy(document)}  # so that the whole document is a member like any other
    for operation in operations:
        _perform(root, operation)
    if "" not in root:
        raise Invalid("JSON patch: nothing is left of the document")
    return root[""]


def _perform(root: dict[str, Any], operation: _Operation) -> None:
    path = _pointer(operation.path)
    match operation.op:
        case "add":
            _add(root, path, _value(operation))
        case "remove":
            _remove(root, path)
        case "replace":
            _remove(root, path)
            _add(root, path, _value(operation))
        case "move":
            source = _pointer(operation.from_)
            if path[: len(source)] == source and path != source:
                raise Invalid(f"JSON patch: cannot move {operation.from_} into itself")
            _add(root, path, _remove(root, source))
        case "copy":
            _add(root, path, _copy(_get(root, _pointer(operation.from_))))
        case "test":
            if not _equal(_get(root, path), _value(operation)):
                raise Invalid(f"JSON patch: testing value {operation.path} failed")
        case _:
            raise BadRequest(f'JSON patch: unknown operation "{operation.op}"')


def _pointer(text: str | None) -> list[str]:
    """`/a/b~1c` -> ["", "a", "b/c"]; the first member is the root."""
    if text is None or (text and not text.startswith("/")) or re.search(r"~(?![01])", text):
        raise BadRequest(f'JSON patch: "{text}" is not a path: expected "" or "/name/..."')
    return [part.replace("~1", "/").replace("~0", "~") for part in ("" + text).split("/")]


def _value(operation: _Operation) -> Any:
    if operation.value is msgspec.UNSET:
        raise BadRequest(f'JSON patch: "{operation.op}" of {operation.path} has no value')
    return operation.value


def _get(root: Any, path: list[str]) -> Any:
    found = root
    for part in path:
        if isinstance(found, list):
            found = found[_index(found, part, path)]
        elif isinstance(found, dict) and part in found:
            found = found[part]
        else:
            raise _missing(path)
    return found


def _add(root: Any, path: list[str], value: Any) -> None:
    parent, last = _get(root, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, path, after=1), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise _missing(path)


def _remove(root: Any, path: list[str]) -> Any:
    removed = _get(root, path)
    parent = _get(root, path[:-1])
    if isinstance(parent, list):
        del parent[_index(parent, path[-1], path)]
    else:
        del parent[path[-1]]
    return removed


def _index(elements: list[Any], part: str, path: list[str], after: int = 0) -> int:
    """after: 1 where a new element may stand behind the last."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", part) or int(part) >= len(elements) + after:
        raise _missing(path)
    return int(part)


def _missing(path: list[str]) -> Invalid:
    return Invalid(f"JSON patch: the document has no {'/'.join(path) or 'root'}")


def _equal(left: Any, right: Any) -> bool:
    """As JSON: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _copy(document: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(document))
