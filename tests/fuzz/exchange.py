"""One request and its answer, and what must be true of every such pair.

code          never 500 (a kubelet that cannot be reached is the exception, as in the original)
refusal       a Status: kind, apiVersion v1, status Failure, code = the HTTP code, the code's reason, a message
success       JSON, or what the route says that it answers
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from labkit.api import errors

REASONS = {cls.reason: cls.code for cls in errors._CLASSES}


class Sent(NamedTuple):
    """A request: path and query quoted, as they go over the wire."""

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = {}

    @property
    def changes(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def __str__(self) -> str:
        """To be sent again by hand."""
        said = "".join(f"\n  {name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.target}{said}\n  {self.body[:3000]!r}"


@dataclass(frozen=True)
class Exchange:
    """`said`: the answer's headers, names in lower case. `streams`: the answer goes on (a watch, a log), unread."""

    sent: Sent
    code: int
    said: Mapping[str, str]
    answer: bytes
    streams: bool = False

    @property
    def document(self) -> Any:
        return json.loads(self.answer)

    def faults(self) -> list[str]:
        """What is wrong with the answer, whatever was asked."""
        if self.streams:
            return []
        if self.code >= 400:
            return self._refusal_faults()
        if self.code == 301:  # .../proxy is .../proxy/
            path = urlsplit(self.sent.target).path
            return (
                [] if self.said.get("location", "").startswith(f"{path}/") else [f"301 to {self.said.get('location')}"]
            )
        return [] if self.code in (200, 201) else [f"code {self.code}"]

    def _refusal_faults(self) -> list[str]:
        if self.sent.method == "HEAD":
            return ["an answer to HEAD has a body"] if self.answer else []
        found = []
        if self.said.get("content-type") != "application/json":
            found.append(f"Content-Type of a refusal: {self.said.get('content-type')}")
        try:
            status = self.document
        except ValueError as error:
            return [*found, f"the refusal is not JSON: {error}"]
        wanted = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.code}
        found += [f"{name} is {status.get(name)!r}, not {value!r}" for name, value in wanted.items()
                  if status.get(name) != value]  # fmt: skip
        if REASONS.get(status.get("reason")) != self.code:
            found.append(f"reason {status.get('reason')!r} does not belong to {self.code}")
        if not status.get("message"):
            found.append("no message")
        elif self.code == 500 and not status["message"].startswith('Get "http'):
            found.append("code 500")
        return found

    def __str__(self) -> str:
        return f"{self.sent}\n  -> {self.code} {self.answer[:2000]!r}"
