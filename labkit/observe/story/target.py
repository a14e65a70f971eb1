"""Which object: KIND/NAME or KIND/NAMESPACE/NAME, the kind by any name that kubectl knows it by."""

import re
from dataclasses import dataclass

from labkit.api.kinds import KINDS, Kind

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,250}[a-z0-9])?")
EXPECTED = "KIND/NAME or KIND/NAMESPACE/NAME, such as rc/redis-master, pod/redis-master-x7f2k or node/agent1"


class Unclear(Exception):
    """The words name no object; the message says what was expected."""


@dataclass(frozen=True)
class Target:
    kind: Kind
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """As the trace's lines name it: `pods/default/x`, `nodes/agent1`."""
        return "/".join(filter(None, (self.kind.resource, self.namespace, self.name)))


def parse(text: str) -> Target:
    """Raises Unclear."""
    word, *names = text.split("/")
    kind = next((row for row in KINDS.values() if word.lower() in (row.resource, row.singular, *row.short_names)), None)
    if kind is None:
        raise Unclear(f"{text!r}: there is no kind {word!r}: expected {EXPECTED}")
    if not 1 <= len(names) <= (2 if kind.namespaced else 1) or not all(_NAME.fullmatch(name) for name in names):
        raise Unclear(f"{text!r}: expected {EXPECTED}")
    namespace = (names[0] if len(names) == 2 else "default") if kind.namespaced else ""
    return Target(kind, namespace, names[-1])
