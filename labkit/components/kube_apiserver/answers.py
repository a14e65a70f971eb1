"""What an answer looks like: the object as it is, a list, a Table for kubectl, pretty or not.

The original always pretty-prints. Here JSON is sent as the cache holds it, and made pretty for `?pretty=true` and for
curl (unless `?pretty=false`): people read it there, and programs pay nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, cast, get_args

import msgspec

from labkit.api import codec, printing
from labkit.api.errors import BadRequest
from labkit.api.kinds import Kind, Resource
from labkit.api.types import Object
from labkit.components.kube_apiserver.messages import JSON, Answer, Request
from labkit.storage.entry import Entry

encode = msgspec.json.encode


def wants_table(request: Request) -> bool:
    """`Accept: application/json;as=Table;v=v1;g=meta.k8s.io, ...`: the first choice that we have counts."""
    accept = request.headers.get("accept")
    return accept is not None and _first_choice_is_table(accept)


@lru_cache(maxsize=256)
def _first_choice_is_table(accept: str) -> bool:
    for choice in accept.split(","):
        parts = {part.strip() for part in choice.split(";")}
        if parts & {JSON, "*/*", "application/*"}:
            return "as=Table" in parts
    return False


def wants_pretty(request: Request) -> bool:
    if "pretty" in request.query:
        return request.flag("pretty")
    return request.headers.get("user-agent", "").startswith("curl/")


def answer(request: Request, body: bytes, status: int = 200) -> Answer:
    """JSON, made pretty when asked for; kubectl warnings of the request go along."""
    return Answer(status, codec.pretty(body) + b"\n" if wants_pretty(request) else body)


def object_answer(request: Request, kind: Kind, entry: Entry, status: int = 200) -> Answer:
    """One object, or its Table of one row."""
    if wants_table(request):
        table = table_of(request, kind, [entry.decode()])
        table["metadata"] = {"resourceVersion": str(entry.revision)}
        return answer(request, encode(table), status)
    return answer(request, entry.data, status)


def table_of(request: Request, kind: Resource, objects: Iterable[Object]) -> dict[str, Any]:
    asked = request.query.get("includeObject", "Metadata")
    if asked not in get_args(printing.Include):
        raise BadRequest(f"unrecognized includeObject value: {asked!r}: expected None, Metadata or Object")
    include = cast(printing.Include, asked)
    return printing.table(kind, objects, include=include)


def list_answer(
    request: Request, kind: Kind, link: str, entries: Sequence[Entry], revision: int, rest: tuple[str, int] | None
) -> Answer:
    """A list at `revision`. `rest`: the token for the next part and how many objects it holds (-1: not known)."""
    meta: dict[str, Any] = {"selfLink": link, "resourceVersion": str(revision)}
    if rest is not None:
        meta["continue"] = rest[0]
        if rest[1] >= 0:
            meta["remainingItemCount"] = rest[1]
    if wants_table(request):
        table = table_of(request, kind, (entry.decode() for entry in entries))
        table["metadata"] = meta
        return answer(request, encode(table))
    names = (kind.list_kind.encode(), kind.api_version.encode(), encode(meta))
    head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % names
    items = [entry.data for entry in entries] or [b""]
    items[0] = head + items[0]  # not around the joined ones: a list of a megabyte would be copied twice more
    items[-1] += b"]}"
    return answer(request, b",".join(items))


class _Token(msgspec.Struct):
    """Where a list in parts goes on: after which path, as of which revision."""

    after: str
    revision: int


def continue_token(after: str, revision: int) -> str:
    return base64.urlsafe_b64encode(encode(_Token(after, revision))).decode()


def read_token(text: str) -> tuple[str, int]:
    """(path, revision); raises BadRequest."""
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Token)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadRequest(f"continue key is not valid: {error}") from error
    return token.after, token.revision
