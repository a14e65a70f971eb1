"""What can go wrong at the API, the same classes on both sides of the wire.

    ApiError                      code  reason
    ├── BadRequest                 400  BadRequest
    ├── Unauthorized               401  Unauthorized
    ├── Forbidden                  403  Forbidden
    ├── NotFound                   404  NotFound
    ├── MethodNotAllowed           405  MethodNotAllowed
    ├── AlreadyExists              409  AlreadyExists
    ├── Conflict                   409  Conflict
    ├── Gone                       410  Gone
    │   └── Expired                410  Expired
    ├── RequestEntityTooLarge      413  RequestEntityTooLarge
    ├── UnsupportedMediaType       415  UnsupportedMediaType
    ├── Invalid                    422  Invalid         every fault with its field path
    ├── TooManyRequests            429  TooManyRequests
    ├── InternalError              500  InternalError
    ├── ServerUnavailable          503  ServiceUnavailable   (the client raises it as well when nobody answers)
    ├── ServerTimeout              504  Timeout
    │   └── TooLargeResourceVersion    504  Timeout     the cause tells it from others
    └── InsufficientStorage        507  InsufficientStorage

The server raises one and sends `error.status()`; the client raises `from_status(status)`. Source: the Status object of
API v1 and the texts of Kubernetes 1.0.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from labkit.api.types import Status, StatusCause, StatusDetails


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with one field.

    reason: FieldValueRequired, FieldValueInvalid, FieldValueDuplicate, FieldValueNotSupported, FieldValueNotFound or
    FieldValueForbidden. field: its path, `spec.containers[0].name`; "" for the whole object. message: without the path,
    `required value`.
    """

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ApiError(Exception):
    """An answer of the API that is not success."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""

    def __init__(self, message: str, *, kind: str = "", name: str = "", details: StatusDetails | None = None) -> None:
        super().__init__(message)
        self.message = message
        if details is None and (kind or name):
            details = StatusDetails(kind=kind, name=name)
        self.details = details

    def status(self) -> Status:
        """The Status object that is sent for it."""
        return Status(
            status="Failure", message=self.message, reason=self.reason, details=self.details, code=type(self).code
        )


class BadRequest(ApiError):
    code = 400
    reason = "BadRequest"


class Unauthorized(ApiError):
    code = 401
    reason = "Unauthorized"


class Forbidden(ApiError):
    code = 403
    reason = "Forbidden"


class NotFound(ApiError):
    code = 404
    reason = "NotFound"

    @classmethod
    def of(cls, kind: str, name: str) -> "NotFound":
        """`pods "x" not found`; kind is the word of the original (pods, service, replicationControllers, ...)."""
        return cls(f'{kind} "{name}" not found', kind=kind, name=name)

    @classmethod
    def nothing_there(cls) -> "NotFound":
        """For a path that names nothing. Its details are empty, not absent: `kubectl debug` dies without them."""
        return cls("the server could not find the requested resource", details=StatusDetails())


class MethodNotAllowed(ApiError):
    code = 405
    reason = "MethodNotAllowed"

    @classmethod
    def here(cls) -> "MethodNotAllowed":
        """For a method that what the path names does not know."""
        return cls("the server does not allow this method on the requested resource")


class AlreadyExists(ApiError):
    code = 409
    reason = "AlreadyExists"

    @classmethod
    def of(cls, kind: str, name: str) -> "AlreadyExists":
        return cls(f'{kind} "{name}" already exists', kind=kind, name=name)


class Conflict(ApiError):
    code = 409
    reason = "Conflict"

    @classmethod
    def of(cls, kind: str, name: str, why: str) -> "Conflict":
        return cls(f'{kind} "{name}" cannot be updated: {why}', kind=kind, name=name)


class Gone(ApiError):
    """What was asked for was there once."""

    code = 410
    reason = "Gone"


class Expired(Gone):
    """The asked resourceVersion, or continue token, is older than what is still known: list again."""

    reason = "Expired"


class RequestEntityTooLarge(ApiError):
    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code = 415
    reason = "UnsupportedMediaType"


class Invalid(ApiError):
    """The object was understood and is not acceptable; every fault is listed."""

    code = 422
    reason = "Invalid"

    @classmethod
    def of(cls, kind: str, name: str, faults: Sequence[Fault]) -> "Invalid":
        """kind is the CamelCase kind: `Pod "x" is invalid: spec.containers: required value`."""
        texts = [str(fault) for fault in faults]
        listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        causes = [StatusCause(reason=f.reason, message=f.message, field=f.field) for f in faults]
        details = StatusDetails(kind=kind, name=name, causes=causes)
        return cls(f'{kind} "{name}" is invalid: {listed}', details=details)


class TooManyRequests(ApiError):
    code = 429
    reason = "TooManyRequests"


class InternalError(ApiError):
    code = 500
    reason = "InternalError"


class ServerUnavailable(ApiError):
    code = 503
    reason = "ServiceUnavailable"


class ServerTimeout(ApiError):
    code = 504
    reason = "Timeout"


class TooLargeResourceVersion(ServerTimeout):
    """This server has not got to the asked resourceVersion yet. Text and cause as clients since 1.18 know them."""

    @classmethod
    def of(cls, asked: int, current: int) -> "TooLargeResourceVersion":
        cause = StatusCause(reason="ResourceVersionTooLarge", message="Too large resource version")
        details = StatusDetails(causes=[cause], retry_after_seconds=1)
        return cls(f"Timeout: Too large resource version: {asked}, current: {current}", details=details)


class InsufficientStorage(ApiError):
    """etcd is full. Source of the code: RFC 4918."""

    code = 507
    reason = "InsufficientStorage"


_CLASSES: tuple[type[ApiError], ...] = (
    BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, AlreadyExists, Conflict, Gone, Expired,
    RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError, ServerUnavailable,
    ServerTimeout, InsufficientStorage,
)  # fmt: skip
_BY_REASON = {cls.reason: cls for cls in _CLASSES}
_BY_CODE = {cls.code: cls for cls in reversed(_CLASSES)} | {409: Conflict}


def from_status(status: Status) -> ApiError:
    """The error that a received Status stands for; an unknown reason falls back on the code."""
    cls = _BY_REASON.get(status.reason) or _BY_CODE.get(status.code, InternalError)
    return cls(status.message or status.reason or f"HTTP {status.code}", details=status.details)
