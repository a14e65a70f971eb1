"""Protobuf bodies, which kubectl sends from 1.32 on for what it builds itself (`create namespace`, `expose`, `delete`).

An envelope `k8s\\0` + runtime.Unknown{1: TypeMeta{1: apiVersion, 2: kind}, 2: the object}; the object's fields by
number, one table per message. Result: the document that the JSON body would have been, for `codec.from_builtins`.
Source: generated.proto of the v1 API; https://protobuf.dev/programming-guides/encoding.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from labkit.api.errors import BadRequest, UnsupportedMediaType
from labkit.api.protobuf_fields import Field
from labkit.api.protobuf_tables import BODIES, MESSAGES

MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 32


def decode(body: bytes) -> dict[str, Any]:
    """BadRequest for bytes that are no such envelope, UnsupportedMediaType for a kind that no table describes."""
    if not body.startswith(MAGIC):
        raise BadRequest("the object provided is unrecognized: a protobuf body starts with k8s\\x00")
    try:
        unknown = _message(body[len(MAGIC) :], "Unknown", 0)
        meta = unknown.get("typeMeta", {})
        kind = meta.get("kind", "")
        if kind not in BODIES:
            raise UnsupportedMediaType(f'kind "{kind}" cannot be read as protobuf: send application/json')
        document = _message(unknown.get("raw", b""), kind, 0)
    except (IndexError, UnicodeDecodeError, OverflowError, OSError, ValueError) as exc:
        raise BadRequest(f"the object provided is unrecognized: not a protobuf message: {exc}") from exc
    return {"kind": kind, "apiVersion": meta.get("apiVersion", ""), **document}


def _message(data: bytes, name: str, depth: int) -> dict[str, Any]:
    """The known fields of a message as a document; Go writes zero values, which JSON leaves out, so they go."""
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    fields = MESSAGES[name]
    document: dict[str, Any] = {}
    for number, raw in _read(data):
        field = fields.get(number)
        if field is None:
            continue
        value = _value(raw, field, depth)
        if field.is_map:
            document.setdefault(field.name, {})[value.get("key", "")] = value.get("value", "")
        elif field.is_list:
            document.setdefault(field.name, []).append(value)
        elif field.is_inline:
            document |= value
        elif value or field.keeps_zero:
            document[field.name] = value
    return document


def _value(raw: int | bytes, field: Field, depth: int) -> Any:
    if isinstance(raw, int):
        if field.type == "bool":
            return bool(raw)
        if field.type in ("int", "int32"):
            return raw - (1 << 64) if raw >> 63 else raw
        raise ValueError(f"{field.name} is a number")
    match field.type:
        case "string":
            return raw.decode()
        case "bytes":
            return raw
        case "base64":
            return base64.b64encode(raw).decode()
        case "quantity":
            return _message(raw, "Quantity", depth + 1).get("text", "0")
        case "time":
            seconds = _message(raw, "Timestamp", depth + 1).get("seconds")
            return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None
        case "int-or-string":
            parts = _message(raw, "IntOrString", depth + 1)
            return parts.get("text", "") if parts.get("kind") else parts.get("number", 0)
        case "bool" | "int" | "int32":
            raise ValueError(f"{field.name} is not a number")
    return _message(raw, field.type, depth + 1)


def _read(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, number or bytes) one after the other."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size, at = _varint(data, at) if wire == _BYTES else ({_FIXED64: 8, _FIXED32: 4}.get(wire), at)
        if size is None or at + size > len(data):
            raise ValueError("cut off, or of an unknown wire type")
        if wire == _BYTES:
            yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, where the next one starts)."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
