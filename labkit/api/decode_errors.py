"""What the decoder found wrong, in the words of Go's, which every client of Kubernetes knows.

    not_json         the bytes are no JSON      invalid character 'h' looking for beginning of value
    not_fitting      a member of another type   json: cannot unmarshal number into field metadata.name of type string
    illegal_base64   in a Secret                illegal base64 data at input byte 0

Go names the structure and leaves out which element of a list it was; here it is the path.
"""

import re

import msgspec

_GO_TYPES = {"str": "string", "float": "number", "object": "object", "array": "array", "bool": "bool", "int": "int"}
_JSON_TYPES = _GO_TYPES | {"int": "number", "str": "string"}


def not_json(body: bytes, exc: Exception) -> str:
    """What msgspec found, in the words of Go's decoder where those are known."""
    text = str(exc)
    if isinstance(exc, RecursionError):
        return "exceeded max depth"
    if "truncated" in text:
        return "unexpected end of JSON input"
    if "trailing" in text:
        return "invalid character after top-level value"
    at = re.search(r"\(byte (\d+)\)", text)
    if at and int(at[1]) < len(body):
        position = int(at[1])
        wrong = body[position : position + 1].decode("latin-1")
        where = "looking for beginning of value" if not body[:position].strip() else f"at byte {position}"
        return f"invalid character '{wrong}' {where}"
    return text


def not_fitting(exc: msgspec.ValidationError) -> str:
    """``Expected `str`, got `int` - at `$.metadata.name` `` -> `cannot unmarshal number into metadata.name ...`."""
    text = str(exc)
    limit = re.fullmatch(r"Expected `int` ([<>]=) (-?\d+) - at `\$\.(.*)`", text)
    if limit:
        return f"json: cannot unmarshal number into field {limit[3]}: expected {limit[1]} {limit[2]}"
    found = re.fullmatch(r"Expected `(.+)`, got `(.+?)`(?: - at `(?:key in )?(.*)`)?", text, re.DOTALL)
    if not found:
        return f"json: {text}"
    expected = " or ".join(_GO_TYPES.get(part, part) for part in found[1].split(" | ") if part != "null")
    path = (found[3] or "$").removeprefix("$").removeprefix(".")
    into = f"field {path} of type {expected}" if path else f"a value of type {expected}"
    return f"json: cannot unmarshal {_JSON_TYPES.get(found[2], found[2])} into {into}"


def illegal_base64(values: dict[str, str]) -> str:
    """The first of these texts that is no base64, and where it stops being one."""
    at = next((at for at in map(_end_of_base64, values.values()) if at is not None), 0)
    return f"illegal base64 data at input byte {at}"


def _end_of_base64(text: str) -> int | None:
    found = re.match(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text)
    whole = found.end() if found else 0
    if whole == len(text):
        return None
    digits = re.compile(r"[A-Za-z0-9+/]*").match(text, whole)
    end = digits.end() if digits else whole
    return end if end < len(text) else whole
