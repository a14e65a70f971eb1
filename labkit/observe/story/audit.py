"""What the audit log adds: requests that were refused, which leave no decision; and of the others who and where from.

Source: audit.k8s.io/v1, as kube-apiserver writes it (labkit/components/kube_apiserver/audit.py).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from labkit.observe.story.lines import API_SERVER, Line, Place, clean

FILE = "/var/log/kube-apiserver/audit.log"
REFUSED = "refused"
_VERBS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}


class _Reference(msgspec.Struct):
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class _Status(msgspec.Struct):
    code: int


class _User(msgspec.Struct):
    username: str


class _Entry(msgspec.Struct, rename="camel"):
    verb: str
    user: _User
    response_status: _Status
    request_received_timestamp: str
    object_ref: _Reference | None = None
    user_agent: str = ""
    audit_id: str = msgspec.field(name="auditID", default="")
    source_ips: list[str] = msgspec.field(name="sourceIPs", default=[])


_entries = msgspec.json.Decoder(_Entry)


def command(names: Iterable[str]) -> tuple[str, str]:
    """What prints the entries about these names, and what it is sent. Reads of the log that kube-apiserver turned over
    are included, oldest first."""
    patterns = "\n".join(sorted(f'"name":"{name}"' for name in names))
    return (
        f'texts=$(cat); cat $(ls -tr {FILE}*) | grep -aF -e "$texts" | grep -avE \'"verb":"(get|list|watch)"\'',
        patterns,
    )


def refusals(machine: str, texts: Sequence[str], paths: Iterable[str]) -> list[Line]:
    """A line for each request to change one of these objects that was refused."""
    wanted = set(paths)
    found = []
    for number, text in enumerate(texts):
        try:
            entry = _entries.decode(text)
            line = _line(machine, number, entry)
        except (msgspec.MsgspecError, ValueError, UnicodeError):
            continue
        if line is not None and line.object in wanted:
            found.append(line)
    return found


def _line(machine: str, number: int, entry: _Entry) -> Line | None:
    at, verb, code = entry.object_ref, _VERBS.get(entry.verb), entry.response_status.code
    if at is None or verb is None or code < 400:
        return None
    moment = int(datetime.fromisoformat(entry.request_received_timestamp).timestamp() * 1e6)
    agent = f" ({clean(entry.user_agent.partition(' ')[0])})" if entry.user_agent else ""
    path = "/".join(filter(None, (at.resource, at.namespace if at.resource != "nodes" else "", at.name)))
    return Line(
        machine, number, moment, API_SERVER, REFUSED, Place("audit log", clean(entry.audit_id)), clean(path),
        cause=f"{verb} by {clean(entry.user.username)}{agent}",
        fields={"code": code, "subresource": clean(at.subresource), "source": clean(", ".join(entry.source_ips))},
    )  # fmt: skip
