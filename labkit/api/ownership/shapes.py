"""Which members of an object are joined one by one when two managers set them, and which are one value.

    struct   an object with known members          each member on its own
    map      labels, limits, data                  each key on its own
    keyed    containers, ports, conditions         each element on its own, known again by some of its members
    set      finalizers                            each value on its own
    value    a text, a number; args, a selector    replaced as a whole

Source: the list and map types of the v1 schema (`x-kubernetes-list-type`, `x-kubernetes-list-map-keys`,
`x-kubernetes-map-type`).
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args, get_origin

from labkit.api import types
from labkit.api.codec import fields_of
from labkit.api.merge_keys import MERGE_KEYS
from labkit.api.types import Part

# Lists that a strategic merge patch knows by one member and an apply by two; a port without protocol is TCP.
_KEYS: dict[tuple[type[Part], str], tuple[str, ...]] = {
    (types.Container, "ports"): ("containerPort", "protocol"),
    (types.ServiceSpec, "ports"): ("port", "protocol"),
}
KEY_DEFAULTS = {"protocol": "TCP"}
_WHOLE = {
    (types.ReplicationControllerSpec, "selector"),
    (types.ServiceSpec, "selector"),
    (types.PodSpec, "nodeSelector"),
}
_WHOLE_TYPES = (types.ObjectReference, types.ObjectFieldSelector, types.KeySelector)


class Shape(NamedTuple):
    """`what`: the struct's type, or the type of the map's values or the list's elements; None where types end."""

    kind: Literal["struct", "map", "keyed", "set", "value"]
    what: Any = None
    keys: tuple[str, ...] = ()


VALUE = Shape("value")


def of_type(what: type[Part]) -> Shape:
    return Shape("struct", what)


@lru_cache(maxsize=2048)
def member(shape: Shape, name: str) -> Shape:
    """Of a struct's member or a map's value."""
    if shape.kind != "struct":
        return _of(shape.what, None, name)
    return _of((fields_of(shape.what) or {}).get(name), shape.what, name)


def element(shape: Shape) -> Shape:
    """Of a list's element."""
    return _of(shape.what, None, "")


def _of(what: Any, owner: Any, name: str) -> Shape:
    if (owner, name) in _WHOLE:
        return VALUE
    if isinstance(what, type) and issubclass(what, Part):
        return VALUE if issubclass(what, _WHOLE_TYPES) else Shape("struct", what)
    if get_origin(what) is dict:
        return Shape("map", get_args(what)[1])
    if get_origin(what) is list:
        return _of_list(get_args(what)[0], owner, name)
    return VALUE


def _of_list(elements: Any, owner: Any, name: str) -> Shape:
    key = MERGE_KEYS.get(owner, {}).get(name)
    if key is None:
        return VALUE
    return Shape("keyed", elements, _KEYS.get((owner, name), (key,))) if key else Shape("set", elements)
