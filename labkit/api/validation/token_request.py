"""The wish for a token."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid, not_supported, required
from labkit.api.types import TokenRequest

SHORTEST = 600
LONGEST = 1 << 32
BOUND_TO = ("Pod", "Secret")


def faults(request: TokenRequest) -> list[Fault]:
    found: list[Fault] = []
    seconds = request.spec.expiration_seconds
    if seconds is not None and seconds < SHORTEST:
        found.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    elif seconds is not None and seconds > LONGEST:
        found.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    bound = request.spec.bound_object_ref
    if bound is not None:
        if bound.kind not in BOUND_TO or bound.api_version not in ("", "v1"):
            found.append(not_supported("spec.boundObjectRef.kind", bound.kind, BOUND_TO))
        if not bound.name:
            found.append(required("spec.boundObjectRef.name"))
    return found
