"""The two ends of a request, as they are typed: `pod/client -> redis-master:6379`.

FROM   pod/NAME, pod/NAMESPACE/NAME, pod/LABEL=VALUE (one of those pods that run), node/MACHINE, host
TO     [NAMESPACE/]SERVICE[:PORT], PORT a number or a name; or IP:PORT
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

_NAME = r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
_LABEL = re.compile(r"[A-Za-z0-9][-\w.]*=[-\w.]*")
_TO = re.compile(rf"(?:(?P<namespace>{_NAME})/)?(?P<service>{_NAME})(?::(?P<port>[a-z0-9-]+))?")
FROM_EXPECTED = "pod/NAME, pod/NAMESPACE/NAME, pod/LABEL=VALUE, node/MACHINE or host"
TO_EXPECTED = "SERVICE:PORT, NAMESPACE/SERVICE:PORT or IP:PORT"


class Unclear(Exception):
    """The words are no such request; the message says what was expected."""


@dataclass(frozen=True)
class From:
    kind: Literal["pod", "node", "host"]
    name: str = ""
    namespace: str = "default"

    def __str__(self) -> str:
        if self.kind == "host":
            return "host"
        return f"node/{self.name}" if self.kind == "node" else f"pod {self.namespace}/{self.name}"


@dataclass(frozen=True)
class To:
    """Either a service (with a port's number or name, or ""), or an address."""

    service: str = ""
    namespace: str = "default"
    port: str = ""
    ip: str = ""

    def __str__(self) -> str:
        return f"{self.ip or f'{self.namespace}/{self.service}'}{':' if self.port else ''}{self.port}"


def parse(words: list[str]) -> tuple[From, To]:
    """Two words, three with the arrow in between, or all in one. Raises Unclear."""
    pieces = [piece for word in words for piece in re.split(r"\s+|->|→", word) if piece]
    if len(pieces) != 2:
        raise Unclear(
            f"expected FROM and TO, such as 'pod/client -> redis-master:6379'; got {' '.join(words) or 'none'}"
        )
    return parse_from(pieces[0]), parse_to(pieces[1])


def parse_from(text: str) -> From:
    kind, _, rest = text.partition("/")
    names = rest.split("/") if rest else []
    if kind == "host" and not names:
        return From("host")
    if kind == "pod" and names and _LABEL.fullmatch(names[-1]) and len(names) <= 2:
        return From("pod", names[-1], names[0] if len(names) == 2 else "default")
    if all(re.fullmatch(_NAME, name) for name in names):
        if kind in ("pod", "pods", "po") and len(names) in (1, 2):
            return From("pod", names[-1], names[0] if len(names) == 2 else "default")
        if kind in ("node", "nodes", "no") and len(names) == 1:
            return From("node", names[0])
    raise Unclear(f"FROM {text!r}: expected {FROM_EXPECTED}")


def parse_asker(text: str) -> From:
    """As parse_from, and NAME or NAMESPACE/NAME is a pod: who looks a name up nearly always is one. Raises Unclear."""
    kind = text.partition("/")[0]
    known = ("pod", "pods", "po", "node", "nodes", "no")
    return parse_from(text if kind in known or text == "host" else f"pod/{text}")


def parse_to(text: str) -> To:
    ip, _, port = text.rpartition(":")
    if _is_ipv4(ip or text):
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise Unclear(f"TO {text!r}: expected a port behind the address, such as {ip or text}:80")
        return To(ip=ip, port=port)
    found = _TO.fullmatch(text.removeprefix("service/").removeprefix("svc/"))
    if not found:
        raise Unclear(f"TO {text!r}: expected {TO_EXPECTED}")
    return To(found["service"], found["namespace"] or "default", found["port"] or "")


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
