"""The times and amounts of an object, each checked and written in one way only.

    "2015-06-05T14:00:00+02:00" -> "2015-06-05T12:00:00Z"        cpu 0.5 -> "500m"

Where they are is what the types say (`Time`, `Quantity`): for each type a visitor is made once, which goes only where
there are some.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from labkit.api import quantity, times
from labkit.api.types import Part

Visitor = Callable[[Any], Any]  # from what was sent to how it is written


class ScalarError(ValueError):
    """A text that is no time or no amount; `path` is where: `status.conditions[0].lastProbeTime`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.path = ""

    def within(self, name: str) -> "ScalarError":
        """The same, seen from the object that has it."""
        self.path = f"{name}{'.' if self.path and not self.path.startswith('[') else ''}{self.path}"
        return self


def canonicalize(obj: Part) -> None:
    """Rewrite them in place. Raises ScalarError."""
    visit = _of_type(type(obj))
    if visit is not None:
        visit(obj)


@lru_cache(maxsize=512)
def _of_type(what: Any) -> Visitor | None:
    """None where there is nothing to look at."""
    if get_origin(what) in (Union, UnionType):
        what = next(member for member in get_args(what) if member is not type(None))
    scalar = _name(what)
    if scalar:
        return _SCALARS.get(scalar)
    if get_origin(what) in (list, dict):
        inner = _of_type(get_args(what)[-1])
        return None if inner is None else _of_members(inner, enumerate if get_origin(what) is list else dict.items)
    if isinstance(what, type) and issubclass(what, msgspec.Struct):
        return _of_struct(what)
    return None


def _name(what: Any) -> str:
    """`Time`, `Quantity`: what the annotations of `types.part` say."""
    if get_origin(what) is not Annotated:
        return ""
    return next((meta.extra["schema"] for meta in what.__metadata__ if meta.extra), "")


def _time(text: str) -> str | None:
    try:
        return times.canonical(text)
    except times.TimeError as exc:
        raise ScalarError(str(exc)) from exc


def _micro_time(text: str) -> str | None:
    try:
        return times.canonical_micro(text)
    except times.TimeError as exc:
        raise ScalarError(str(exc)) from exc


def _amount(amount: str | int | float) -> str:
    try:
        return quantity.canonical(amount)
    except quantity.QuantityError as exc:
        raise ScalarError(str(exc)) from exc


_SCALARS: dict[str, Visitor] = {"Time": _time, "MicroTime": _micro_time, "Quantity": _amount}


def _of_struct(what: type[msgspec.Struct]) -> Visitor | None:
    fields = msgspec.structs.fields(what)
    steps = [(one.name, one.encode_name, inner) for one in fields if (inner := _of_type(one.type)) is not None]

    def visit(obj: Any) -> Any:
        for attribute, name, inner in steps:
            old = getattr(obj, attribute)
            if old is None:
                continue
            try:
                new = inner(old)
            except ScalarError as exc:
                raise exc.within(name) from exc.__cause__
            if new is not old:
                setattr(obj, attribute, new)
        return obj

    return visit if steps else None


def _of_members(inner: Visitor, pairs: Callable[[Any], Iterable[tuple[Any, Any]]]) -> Visitor:
    """Of a list or a map; `pairs`: (index or name, member) of each."""

    def visit(members: Any) -> Any:
        for key, member in pairs(members):
            try:
                members[key] = inner(member)
            except ScalarError as exc:
                raise exc.within(f"[{key}]") from exc.__cause__
        return members

    return visit
