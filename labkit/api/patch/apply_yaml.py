"""The body of a server-side apply: YAML, of which JSON is a part.

    apiVersion: v1             kubectl sends JSON; people with curl, and some clients, send YAML.
    data: {mode: "0644"}

Read as Go's YAML library reads it: no dates, no numbers to base 60. What a short text can become is bounded before
anything is built: an alias costs as much as what it stands for.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

import msgspec
import yaml

from labkit.api.errors import BadRequest

MOST_BYTES = 128 * 1024  # of YAML; JSON may be as long as any body
MOST_DEPTH = 64
MOST_SIZE = 1_000_000  # nodes and characters, each alias replaced by what it names


def load(body: bytes) -> Any:
    """The document. Raises BadRequest, with the line."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(body)
    if len(body) > MOST_BYTES:
        raise _wrong(f"{len(body)} bytes of YAML: expected {MOST_BYTES} at most")
    try:
        text = body.decode()
        _measure(text)
        document = yaml.load(text, _Loader)  # noqa: S506 (it is a safe loader)
        return msgspec.json.decode(msgspec.json.encode(document))  # keys become texts, as in JSON
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise _wrong(f"yaml: {where}{exc.problem or exc.context}") from exc
    except (yaml.YAMLError, TypeError, ValueError, RecursionError, OverflowError) as exc:
        raise _wrong(f"yaml: {exc}") from exc


def _wrong(why: str) -> BadRequest:
    return BadRequest(f"error decoding YAML: error converting YAML to JSON: {why}")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}


_TAGS = (
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("merge", r"<<", "<"),
)
for _name, _pattern, _first in _TAGS:
    _firsts = [*_first, *([""] if _name == "null" else [])]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _firsts)


def _measure(text: str) -> None:
    """One document, not too deep, and not too large once its aliases are followed. Raises BadRequest, YAMLError."""
    sizes: dict[str, int] = {}  # of what has an anchor and has ended
    open_: list[tuple[str, int]] = []  # (anchor, size so far) of what has begun
    documents = 0
    for event in yaml.parse(text, _Loader):
        size, anchor = 0, getattr(event, "anchor", None) or ""
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_.pop()
        elif isinstance(event, yaml.ScalarEvent):
            size = 1 + len(event.value)
        elif isinstance(event, yaml.AliasEvent):
            size, anchor = sizes.get(anchor, MOST_SIZE + 1), ""  # one that is not known yet stands for itself
        if anchor and size:
            sizes[anchor] = size
        if size and open_:
            open_[-1] = (open_[-1][0], open_[-1][1] + size)
        _check(event, documents, len(open_), size)


def _check(event: yaml.Event, documents: int, depth: int, size: int) -> None:
    where = f"yaml: line {event.start_mark.line + 1 if event.start_mark else '?'}: "
    if documents > 1:
        raise _wrong(f"{where}a second document: expected one object")
    if depth > MOST_DEPTH:
        raise _wrong(f"{where}deeper than {MOST_DEPTH} levels")
    if size > MOST_SIZE:
        raise _wrong(f"{where}the document contains excessive aliasing")
