"""The wish for a token of a service account, which is its own answer: nothing is stored."""

from typing import ClassVar

from labkit.api.types.metadata import Object
from labkit.api.types.part import Int64, Part, Time, shown


class BoundObjectReference(Part):
    """A pod or a secret."""

    kind: str = ""
    api_version: str = ""
    name: str = ""
    uid: str = ""


class TokenRequestSpec(Part):
    audiences: list[str] = shown(None)
    expiration_seconds: Int64 | None = None
    bound_object_ref: BoundObjectReference | None = None

    def __post_init__(self) -> None:
        self.audiences = self.audiences or []


class TokenRequestStatus(Part):
    token: str = shown("")
    expiration_timestamp: Time | None = shown(None)


class TokenRequest(Object):
    """`POST serviceaccounts/NAME/token` (group authentication.k8s.io)."""

    KIND: ClassVar[str] = "TokenRequest"
    api_version: str = shown("authentication.k8s.io/v1")
    spec: TokenRequestSpec = shown(None)
    status: TokenRequestStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or TokenRequestSpec()
        self.status = self.status or TokenRequestStatus()
