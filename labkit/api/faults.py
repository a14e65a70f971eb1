"""How to say what is wrong with a field, in the words of Kubernetes 1.0.

    required("spec.containers")                  spec.containers: required value
    invalid("spec.replicas", -1, "must be ...")  spec.replicas: invalid value '-1': must be ...
    duplicate("spec.volumes[1].name", "v")       spec.volumes[1].name: duplicate value 'v'
    not_supported("spec.type", "X", ("A", "B"))  spec.type: unsupported value 'X': supported values: A, B
    not_found("...volumeMounts[0].name", "zz")   ...volumeMounts[0].name: not found 'zz'
    forbidden("...privileged", True)             ...privileged: forbidden 'true'

The original prints Go's memory (`<*>(0xc000574240){HostPath:...}`) where a value is a whole structure; here it is JSON.
Source: pkg/util/fielderrors of Kubernetes 1.0.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from labkit.api.errors import Fault


def required(field: str) -> Fault:
    return Fault("FieldValueRequired", field, "required value")


def invalid(field: str, value: Any, why: str) -> Fault:
    return Fault("FieldValueInvalid", field, f"invalid value '{written(value)}': {why}")


def duplicate(field: str, value: Any) -> Fault:
    return Fault("FieldValueDuplicate", field, f"duplicate value '{written(value)}'")


def not_supported(field: str, value: Any, choices: Iterable[str]) -> Fault:
    choices = ", ".join(choices)
    return Fault("FieldValueNotSupported", field, f"unsupported value '{written(value)}': supported values: {choices}")


def not_found(field: str, value: Any) -> Fault:
    return Fault("FieldValueNotFound", field, f"not found '{written(value)}'")


def forbidden(field: str, value: Any) -> Fault:
    return Fault("FieldValueForbidden", field, f"forbidden '{written(value)}'")


def written(value: Any) -> str:
    """A value as Go prints it: `true`, `map[app:a tier:b]`; a structure, or a list of them, as JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{name}:{member}' for name, member in sorted(value.items()))}]"
    if isinstance(value, msgspec.Struct | list):
        return msgspec.json.encode(value).decode()
    return "" if value is None else str(value)
