"""What every admission plug-in is given, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from labkit.api.errors import Forbidden
from labkit.api.kinds import Kind
from labkit.api.types import Object
from labkit.components.kube_apiserver.messages import User

T = TypeVar("T", bound=Object)


class Asked(NamedTuple):
    """A change that somebody wants. `obj` is the object as it is to be; for DELETE there is none."""

    operation: Literal["CREATE", "UPDATE", "DELETE"]
    kind: Kind
    namespace: str
    name: str
    obj: Any = None
    user: User = User()


class View(Protocol):
    """The objects that are there, as far as this server has heard."""

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None: ...

    def list(self, kind: type[T], namespace: str) -> list[T]: ...


Plugin = Callable[[Asked, View], Any]


class NotYet(Forbidden):
    """Refused because something is missing that may have come since, or comes within `patience` seconds."""

    patience = 0.0


def forbidden(asked: Asked, why: str) -> Forbidden:
    """`Pod "p1" is forbidden: WHY`."""
    return _refusal(Forbidden, asked, why)


def not_yet(asked: Asked, why: str, patience: float = 0.0) -> NotYet:
    error = _refusal(NotYet, asked, why)
    error.patience = patience
    return error


E_ = TypeVar("E_", bound=Forbidden)


def _refusal(what: type[E_], asked: Asked, why: str) -> E_:
    name = asked.name
    if asked.obj is not None:  # a generated name is not known yet
        name = asked.obj.metadata.name or asked.obj.metadata.generate_name or "Unknown"
    return what(f'{asked.kind.kind} "{name}" is forbidden: {why}', kind=asked.kind.kind, name=name)
