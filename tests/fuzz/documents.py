"""Objects as clients might send them: a valid one, and then here and there something else.

The places are those of the server's own schemas; what is put there is of the right kind, of the right type only, or of
neither. Then the same once more with the bytes.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz import values
from tests.fuzz.objects import document

Schemas = dict[str, Any]  # full name -> schema
_DOORS = ("kind", "apiVersion", "metadata")
_RARELY = st.integers(0, 14).map(lambda number: number == 14)


def resolve(schemas: Schemas, schema: dict[str, Any]) -> dict[str, Any]:
    """Without references and their wrapping."""
    while "$ref" in schema or "allOf" in schema:
        schema = schema["allOf"][0] if "allOf" in schema else schemas[schema["$ref"].rpartition("/")[2]]
    return schema


@st.composite
def edited(draw: st.DrawFn, schemas: Schemas, kind: str, name: str = "fuzz", most: int = 3) -> Any:
    """The kind's small valid object with one to `most` edits."""
    found = copy.deepcopy(document(kind, name))
    schema = next(schema for full, schema in schemas.items() if full.endswith(f".{kind}"))
    for _ in range(draw(st.integers(1, most))):
        _edit(draw, schemas, schema, found)
    return found


def _edit(draw: st.DrawFn, schemas: Schemas, schema: dict[str, Any], found: dict[str, Any]) -> None:
    """One member of the object, or of what lies below it."""
    members = schema.get("properties")
    if members is None:  # a map
        known = st.sampled_from(sorted(found)) if found else st.nothing()
        name, inner = draw(known | values.texts()), schema.get("additionalProperties", {"type": "string"})
    else:
        # what is there already is as likely as all that could be; without kind or name an object does not get far
        possible = [name for name in members if name not in _DOORS or draw(_RARELY)]
        there = [name for name in possible if name in found]
        name = draw(st.sampled_from(there) if there and draw(st.booleans()) else st.sampled_from(possible or ["x"]))
        inner = members.get(name, {})
    inner = resolve(schemas, inner if isinstance(inner, dict) else {})
    match draw(st.integers(0, 29)):
        case 0:
            found.pop(name, None)
        case 1:
            found[name] = draw(values.anything())
        case 2:
            found[draw(values.texts())] = draw(values.anything())
        case _:
            found[name] = _inside(draw, schemas, inner, found.get(name))


def _inside(draw: st.DrawFn, schemas: Schemas, schema: dict[str, Any], old: Any) -> Any:
    if schema.get("type") == "object":
        inside = old if isinstance(old, dict) else {}
        for _ in range(1 if inside else draw(st.integers(0, 3))):
            _edit(draw, schemas, schema, inside)
        return inside
    if schema.get("type") == "array":
        elements = old if isinstance(old, list) else []
        inner = resolve(schemas, schema["items"])
        if elements and draw(st.booleans()):
            at = draw(st.integers(0, len(elements) - 1))
            elements[at] = _inside(draw, schemas, inner, elements[at])
        elif elements and draw(st.booleans()):
            elements = elements + copy.deepcopy(elements)
        else:
            elements = [*elements, _inside(draw, schemas, inner, None)]
        return elements
    return draw(_leaf(schema))


def _leaf(schema: dict[str, Any]) -> SearchStrategy[Any]:
    form, choices = schema.get("format", ""), schema.get("oneOf", ())
    if form == "date-time":
        return st.sampled_from(values.TIMES)
    if form == "byte":
        return st.sampled_from(values.BYTES)
    if form == "int-or-string":
        return values.numbers() | values.texts()
    if choices:
        return values.amounts()
    return {"integer": values.numbers(), "number": values.numbers(), "boolean": st.booleans()}.get(
        schema.get("type", ""), values.texts()
    )


def written(found: Any) -> bytes:
    """As JSON, with what only JSON's letters forbid left in (a lone surrogate)."""
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass")


# -- bytes -----------------------------------------------------------------------------------------------------------

_PIECES = [
    b"", b"\x00", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"{", b"}", b"[", b"]", b",", b":",
    b'"', b"null", b"NaN", b"Infinity", b"-", b"01", b"1e999", b"1E-999", b"9" * 400, b"[" * 2000, b'{"a":' * 2000,
    b"{" * 100_000, b"kind: Pod\nmetadata:\n  name: x\n", b"- a\n- b\n", b"&a [*a]", b"\xef\xbb\xbf", b"\x1f\x8b\x08",
    b"k8s\x00", b"<Pod/>", b"//", b'"name":"a","name":"b",',
]  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn, whole: bytes) -> bytes:
    """A body with pieces cut out, doubled or put in."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(whole)))
        end = min(len(whole), start + draw(st.sampled_from([0, 0, 1, 5, len(whole)])))
        whole = whole[:start] + draw(st.sampled_from(_PIECES) | st.binary(max_size=4)) + whole[end:]
    return whole
