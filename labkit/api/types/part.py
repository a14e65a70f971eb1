"""What the objects are made of: Structs with JSON names, and what a plain field may hold."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

# What fits into the original's fields: an absurd number is refused where it is read.
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# Plain texts and numbers whose meaning the schema tells (`api/openapi`).
Time = Annotated[str, Meta(extra={"schema": "Time"})]  # RFC 3339 to the second
MicroTime = Annotated[str, Meta(extra={"schema": "MicroTime"})]  # the same, to the microsecond
Quantity = Annotated[str | int | float, Meta(extra={"schema": "Quantity"})]  # after decoding a text: "250m"
FieldsV1 = Annotated[dict[str, Any], Meta(extra={"schema": "FieldsV1"})]  # a tree of fields (`api/ownership`)
IntOrString = Annotated[Int32 | str, Meta(extra={"schema": "IntOrString"})]

# Parts of a field name that Kubernetes writes in capitals; `pod_ip` -> `podIP`, `cluster_ip` -> `clusterIP`.
_ACRONYMS = {
    "ip": "IP", "ips": "IPs", "cidr": "CIDR", "pid": "PID", "ipc": "IPC", "uuid": "UUID", "tcp": "TCP", "api": "API",
    "urls": "URLs",
}  # fmt: skip


def json_name(attribute: str) -> str:
    """The JSON name of an attribute: `host_ip` -> `hostIP`, `deprecated_public_ips` -> `deprecatedPublicIPs`."""
    first, *rest = attribute.rstrip("_").split("_")
    return first + "".join(_ACRONYMS.get(part, part.capitalize()) for part in rest)


def shown(value: Any) -> Any:
    """A field that is encoded even when it holds this value (a Go field without `omitempty`)."""
    return msgspec.field(default_factory=lambda: value)


class Part(msgspec.Struct, kw_only=True, omit_defaults=True, rename=json_name):
    """A piece of an object."""
