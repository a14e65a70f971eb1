"""The audit log: who asked for what and what came of it, one JSON line per request.

    {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","verb":"create",
     "user":{"username":"admin","groups":["system:masters"]},"objectRef":{"resource":"pods","namespace":"default",...},
     "responseStatus":{"code":201},"annotations":{"apiserver.latency.k8s.io/total":"1.234ms"},...}

Bodies are not in it: they may hold secrets. Lines are gathered for FLUSH_SECONDS at most and written together: a write
for each would cost a request 14 us of its 60. A server that is killed loses the last of them, one that is stopped
none. A file that has grown to its size is renamed to FILE-TIME, of which the newest are kept. Source: audit.k8s.io/v1;
1.0 had nothing of the kind.
"""

from __future__ import annotations

import datetime
import os
import random
import time
from functools import lru_cache
from pathlib import Path

import msgspec

from labkit.components.kube_apiserver.messages import Request

MEGABYTE = 1024 * 1024
FLUSH_SECONDS = 0.1
_GATHERED = 64 * 1024  # bytes of lines that are not waited for any longer


class _User(msgspec.Struct):
    username: str
    groups: tuple[str, ...]


class _Reference(msgspec.Struct, rename="camel", omit_defaults=True):
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    api_version: str = ""


class _Status(msgspec.Struct):
    code: int


class Line(msgspec.Struct, rename={"request_uri": "requestURI", "audit_id": "auditID", "source_ips": "sourceIPs",
                                   "api_version": "apiVersion", "user_agent": "userAgent", "object_ref": "objectRef",
                                   "response_status": "responseStatus", "stage_timestamp": "stageTimestamp",
                                   "request_received_timestamp": "requestReceivedTimestamp"}):  # fmt: skip
    """One event of audit.k8s.io/v1."""

    kind: str
    api_version: str
    level: str
    audit_id: str
    stage: str
    request_uri: str
    verb: str
    user: _User
    source_ips: list[str]
    user_agent: str
    object_ref: _Reference | None
    response_status: _Status
    request_received_timestamp: str
    stage_timestamp: str
    annotations: dict[str, str]


def line_of(request: Request, code: int, seconds: float, now: float) -> Line:
    """What is told of a request that was answered with `code` after so many seconds; now: seconds since 1970."""
    at = request.at
    reference = _Reference(at.resource, at.namespace, at.name, at.subresource, "v1") if at else None
    return Line(
        kind="Event", api_version="audit.k8s.io/v1", level="Metadata", audit_id=_id(),
        stage="ResponseStarted" if request.verb == "watch" else "ResponseComplete", request_uri=request.uri,
        verb=request.verb, user=_User(request.user.name, request.user.groups), source_ips=[request.address],
        user_agent=request.headers.get("user-agent", ""), object_ref=reference, response_status=_Status(code),
        request_received_timestamp=_time(now - seconds), stage_timestamp=_time(now),
        annotations={"apiserver.latency.k8s.io/total": f"{seconds * 1e3:.3f}ms"},
    )  # fmt: skip


def _id() -> str:
    """A UUID of version 4, in a quarter of uuid.uuid4's time: nothing depends on nobody guessing it."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _time(seconds: float) -> str:
    """RFC 3339 with microseconds."""
    whole, fraction = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_second(whole)}.{fraction:06d}Z"


@lru_cache(maxsize=64)  # the same for all requests of a second: strftime costs 7 us
def _second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


class AuditLog:
    """A file of lines, 0600. max_size: bytes; backups, days: what is kept of older files, 0 for all.

    Raises OSError when the file cannot be opened. Whoever writes calls `flush` every FLUSH_SECONDS.
    """

    def __init__(self, path: Path, max_size: int = 100 * MEGABYTE, backups: int = 10, days: int = 30) -> None:
        self._path = path
        self._max_size, self._backups, self._days = max_size, backups, days
        self._encoder = msgspec.json.Encoder()
        self._lines = bytearray()
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, line: Line) -> None:
        """Take a line. Raises OSError (the disk is full)."""
        data = self._encoder.encode(line) + b"\n"
        size = self._size + len(self._lines)
        if self._max_size and size + len(data) > self._max_size and size:
            self.flush()
            self._rotate()
        self._lines += data
        if len(self._lines) > _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what is gathered; what cannot be written is lost. Raises OSError."""
        lines, self._lines = self._lines, bytearray()
        while lines:
            written = os.write(self._file, lines)
            self._size += written
            del lines[:written]

    def _rotate(self) -> None:
        os.close(self._file)
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")
        self._path.rename(self._path.with_name(f"{self._path.name}-{stamp}"))
        self._open()
        older = sorted(self._path.parent.glob(f"{self._path.name}-*"), reverse=True)
        oldest = time.time() - self._days * 86400
        for number, file in enumerate(older):
            if (self._backups and number >= self._backups) or (self._days and file.stat().st_mtime < oldest):
                file.unlink()

    def close(self) -> None:
        if self._file >= 0:
            self.flush()
            os.close(self._file)
            self._file = -1
