"""OpenAPI 2 as protobuf, the only form of it that kubectl reads: its JSON members, by number.

Field numbers are those of google/gnostic's OpenAPIv2.proto; every function writes one message of it, and lists only the
members that our documents have.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

_TEXTS = {"$ref": 1, "format": 2, "description": 4}
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


def encode(document: Mapping[str, Any]) -> bytes:
    """A Document."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = _named(2, document["paths"], _path_item)
    definitions = _named(1, document["definitions"], _schema)
    return _text(1, document["swagger"]) + _bytes(2, info) + _bytes(8, paths) + _bytes(9, definitions)


# -- wire ------------------------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    """Nothing for an empty text, as proto3 has it."""
    return _bytes(number, text.encode()) if text else b""


def _texts(number: int, texts: list[str]) -> bytes:
    return b"".join(_text(number, text) for text in texts)


def _flag(number: int, flag: bool) -> bytes:
    return _varint(number << 3) + b"\x01" if flag else b""


def _named(number: int, members: Mapping[str, Any], write: Callable[[Any], bytes]) -> bytes:
    """A map: repeated messages of name and value."""
    return b"".join(_bytes(number, _text(1, name) + _bytes(2, write(member))) for name, member in members.items())


def _extensions(number: int, holder: Mapping[str, Any]) -> bytes:
    """The x- members: Any{yaml}, and JSON is YAML."""
    found = {name: member for name, member in holder.items() if name.startswith("x-")}
    return _named(number, found, lambda member: _text(2, json.dumps(member)))


# -- schemas ---------------------------------------------------------------------------------------------------------


def _schema(schema: Mapping[str, Any]) -> bytes:
    out = (
        _text(1, schema.get("$ref", "")) + _text(2, schema.get("format", "")) + _text(4, schema.get("description", ""))
    )
    out += _texts(19, schema.get("required", []))
    if "additionalProperties" in schema:
        out += _bytes(21, _bytes(1, _schema(schema["additionalProperties"])))
    if "type" in schema:
        out += _bytes(22, _text(1, schema["type"]))
    if "items" in schema:
        out += _bytes(23, _bytes(1, _schema(schema["items"])))
    if "properties" in schema:
        out += _bytes(25, _named(1, schema["properties"], _schema))
    return out + _extensions(31, schema)


# -- paths -----------------------------------------------------------------------------------------------------------


def _path_item(item: Mapping[str, Any]) -> bytes:
    operations = (_bytes(number, _operation(item[method])) for method, number in _METHODS.items() if method in item)
    return b"".join(operations) + _parameters(9, item["parameters"])


def _operation(operation: Mapping[str, Any]) -> bytes:
    responses = _named(1, operation["responses"], lambda response: _bytes(1, _response(response)))
    return (
        _texts(1, operation["tags"])
        + _text(5, operation["operationId"])
        + _texts(6, operation["produces"])
        + _texts(7, operation["consumes"])
        + _parameters(8, operation["parameters"])
        + _bytes(9, responses)
        + _extensions(13, operation)
    )


def _response(response: Mapping[str, Any]) -> bytes:
    return _text(1, response["description"]) + _bytes(2, _bytes(1, _schema(response["schema"])))


def _parameters(number: int, parameters: list[dict[str, Any]]) -> bytes:
    return b"".join(_bytes(number, _bytes(1, _parameter(one))) for one in parameters)


def _parameter(parameter: Mapping[str, Any]) -> bytes:
    """A body, or one of the others: in the query, in the path."""
    name, text = parameter["name"], parameter.get("description", "")
    required = parameter.get("required", False)
    if parameter["in"] == "body":
        body = _text(1, text) + _text(2, name) + _text(3, "body") + _flag(4, required)
        return _bytes(1, body + _bytes(5, _schema(parameter["schema"])))
    common = _flag(1, required) + _text(2, parameter["in"]) + _text(3, text) + _text(4, name)
    kind, form = parameter["type"], parameter.get("format", "")
    if parameter["in"] == "query":
        return _bytes(2, _bytes(3, common + _text(6, kind) + _text(7, form)))
    return _bytes(2, _bytes(4, common + _text(5, kind) + _text(6, form)))
