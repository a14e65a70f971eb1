"""Bytes of JSON -> typed object -> bytes.

`decode` takes the straight road (one msgspec pass, microseconds). Only when that fails it takes the long one: Go's
clients write `null` where a field is absent, so nulls are dropped and the rest is converted; what fails then is a
BadRequest that names the field. Unknown fields are ignored, as in 1.0; `field_faults` finds them and the duplicate ones
for requests that ask (`fieldValidation=Strict|Warn`). YAML is refused, as by the original.
Source: the answers of Kubernetes 1.0.7, and for strict decoding those of its successors.
"""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from labkit.api import scalars, types
from labkit.api.decode_errors import illegal_base64, not_fitting, not_json
from labkit.api.errors import BadRequest
from labkit.api.kinds import by_kind_name
from labkit.api.types import Part

T = TypeVar("T", bound=Part)

# Fields of today's clients that every object may carry and that mean nothing here: dropped without complaint.
_TOLERATED = {"ObjectMeta": {"clusterName"}}


class _Envelope(msgspec.Struct, rename={"api_version": "apiVersion"}):
    kind: str | None = None
    api_version: str | None = None


# Not JSON, not UTF-8, or nested deeper than anything of ours.
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_envelope = msgspec.json.Decoder(_Envelope)
_encoder = msgspec.json.Encoder()
encode: Callable[[Any], bytes] = _encoder.encode


_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def _read(body: bytes, what: type[T]) -> T:
    decoder = _decoders.get(what)
    if decoder is None:
        decoder = _decoders[what] = msgspec.json.Decoder(what)
    obj: T = decoder.decode(body)
    return obj


def decode(body: bytes, what: type[T]) -> T:
    """The object of type `what`; BadRequest says what is wrong and where.

    A missing kind is taken to be the right one. When only apiVersion is missing it is left empty, and defaults then do
    not apply, so that validation complains: both as in 1.0. When both are missing, both are taken to be right: Python's
    clients leave them out.
    """
    name = what.__name__
    if not body.strip():
        raise BadRequest(f"the object provided is unrecognized (must be of type {name}): empty input")
    envelope = _read_envelope(body, name)
    _check_envelope(envelope, what)
    try:
        obj = _read(body, what)
    except msgspec.ValidationError:
        obj = _decode_without_nulls(body, what, envelope)
    except _MALFORMED as exc:
        raise _unrecognized(name, body, exc) from exc
    if isinstance(obj, types.Object) and envelope.kind and not envelope.api_version:
        obj.api_version = ""
    try:
        scalars.canonicalize(obj)
    except scalars.ScalarError as exc:
        handled = f"{envelope.kind or name} in version v1 cannot be handled as a {name}"
        raise BadRequest(f"{handled}: {exc} (field {exc.path})") from exc
    return obj


def from_builtins(document: Any, what: type[T]) -> T:
    """A document that is already parsed (the result of a patch) -> object; as `decode`."""
    return decode(encode(document), what)


def to_builtins(obj: Part) -> Any:
    """The object as a document of dicts, lists and texts."""
    return msgspec.json.decode(encode(obj))


def pretty(body: bytes) -> bytes:
    """The same JSON, two spaces deep, as the original answers `?pretty=true`."""
    return msgspec.json.format(body, indent=2)


# -- kind and version ----------------------------------------------------------------------------------------------


def _read_envelope(body: bytes, name: str) -> _Envelope:
    try:
        return _envelope.decode(body)
    except msgspec.ValidationError as exc:
        detail = not_fitting(exc)
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {name}): couldn't get version/kind; "
            f"json parse error: {detail}"
        ) from exc
    except _MALFORMED as exc:
        raise _unrecognized(name, body, exc) from exc


def _check_envelope(envelope: _Envelope, what: type[Part]) -> None:
    if not issubclass(what, types.Object):
        return  # DeleteOptions and their like are sent under several versions, or none
    kind = envelope.kind or what.KIND
    version = envelope.api_version if envelope.api_version is not None else _version_of(what)
    handled = f"{kind} in version {version} cannot be handled as a {what.KIND}: "
    if version and version != _version_of(what):
        raise BadRequest(f'{handled}no kind "{kind}" is registered for version "{version}"')
    if kind == what.KIND:
        return
    if by_kind_name(kind) is None:
        raise BadRequest(f'{handled}no kind "{kind}" is registered for version "{version}"')
    raise BadRequest(
        f"{handled}converting  to : type names don't match ({kind}, {what.KIND}), "
        f"and no conversion 'func (v1.{kind}, api.{what.KIND}) error' registered."
    )


@lru_cache(maxsize=256)
def _version_of(what: type[types.Object]) -> str:
    return what().api_version


def _unrecognized(name: str, body: bytes, exc: Exception) -> BadRequest:
    return BadRequest(
        f"the object provided is unrecognized (must be of type {name}): "
        f"couldn't get version/kind; json parse error: {not_json(body, exc)}"
    )


# -- the long road -------------------------------------------------------------------------------------------------


def _decode_without_nulls(body: bytes, what: type[T], envelope: _Envelope) -> T:
    try:
        document = _with_base64_in_one_line(without_nulls(msgspec.json.decode(body)), what)
        return msgspec.convert(document, what)
    except msgspec.ValidationError as exc:
        kind = envelope.kind or what.__name__
        version = envelope.api_version or "v1"
        detail = illegal_base64(document[_BYTES[what]]) if "base64" in str(exc) else not_fitting(exc)
        raise BadRequest(f"{kind} in version {version} cannot be handled as a {what.__name__}: {detail}") from exc
    except _MALFORMED as exc:
        raise _unrecognized(what.__name__, body, exc) from exc


def without_nulls(document: Any) -> Any:
    """The document without the members that are null: to Go's clients that means absent."""
    if isinstance(document, dict):
        return {name: without_nulls(member) for name, member in document.items() if member is not None}
    if isinstance(document, list):
        return [without_nulls(member) for member in document]
    return document


# The maps of a kind whose values are bytes: base64 in JSON.
_BYTES: dict[type[Part], str] = {types.Secret: "data", types.ConfigMap: "binaryData"}


def _with_base64_in_one_line(document: Any, what: type[Part]) -> Any:
    """Go's decoder passes over the line breaks that a YAML block leaves in base64; msgspec's does not."""
    values = document.get(_BYTES.get(what, "")) if isinstance(document, dict) else None
    if not isinstance(values, dict):
        return document
    joined = {key: "".join(text.split()) if isinstance(text, str) else text for key, text in values.items()}
    return document | {_BYTES[what]: joined}


# -- unknown and duplicate fields ----------------------------------------------------------------------------------


class _Members(dict[str, Any]):
    """A JSON object that remembers which names came twice."""

    duplicates: list[str]


def field_faults(body: bytes, what: type[Part]) -> list[str]:
    """`unknown field "spec.containers[0].imgae"`, `duplicate field "spec.nodeName"`, in the order of the document.

    body: JSON that `decode` has accepted. Strict requests make an error of it (`strict_error`), others a warning.
    """
    document = json.loads(body, object_pairs_hook=_members)
    return list(_faults(document, what, ""))


def strict_error(what: type[Part], faults: list[str]) -> BadRequest:
    """The answer to fieldValidation=Strict."""
    return BadRequest(
        f'{what.__name__} in version "v1" cannot be handled as a {what.__name__}: '
        f"strict decoding error: {', '.join(faults)}"
    )


def _members(pairs: list[tuple[str, Any]]) -> _Members:
    members = _Members()
    members.duplicates = []
    for name, value in pairs:
        if name in members:
            members.duplicates.append(name)
        members[name] = value
    return members


def _faults(document: Any, what: Any, path: str) -> Iterator[str]:
    """Walk document and type together; what the type leaves open (maps, numbers or texts) is not looked into."""
    if isinstance(document, _Members):
        for name in dict.fromkeys(document.duplicates):
            yield f'duplicate field "{_join(path, name)}"'
    fields = fields_of(what)
    if fields is not None and isinstance(document, dict):
        for name, member in document.items():
            if name in fields:
                yield from _faults(member, fields[name], _join(path, name))
            elif name not in _TOLERATED.get(what.__name__, ()):
                yield f'unknown field "{_join(path, name)}"'
    elif isinstance(document, list) and get_origin(what) is list:
        for index, member in enumerate(document):
            yield from _faults(member, get_args(what)[0], f"{path}[{index}]")
    elif isinstance(document, dict) and get_origin(what) is dict:
        for name, member in document.items():
            yield from _faults(member, get_args(what)[1], _join(path, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@lru_cache(maxsize=512)
def fields_of(what: Any) -> dict[str, Any] | None:
    """JSON name -> type of each field of a Struct, `| None` taken off; None for anything that is no Struct."""
    if not (isinstance(what, type) and issubclass(what, msgspec.Struct)):
        return None
    return {field.encode_name: _without_none(field.type) for field in msgspec.structs.fields(what)}


def _without_none(what: Any) -> Any:
    if get_origin(what) in (Union, UnionType):
        members = [member for member in get_args(what) if member is not type(None)]
        return members[0] if len(members) == 1 else what
    return what
