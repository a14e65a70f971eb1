"""What the host asks about a name, and what the machine tells: the JSON of `python -m labkit.probe dns`."""

from typing import Literal

import msgspec


class _Record(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    pass


class NameRequest(_Record):
    """Look `name` up as a program in `pod` would. `direct`: who else is asked when the nameserver does not answer."""

    name: str
    type: str = "A"
    pod: str = ""
    """From this pod of this machine (NAMESPACE/NAME); without one: from the machine itself."""
    netns: str = ""
    """From this network namespace (a path), with this file for its resolv.conf."""
    resolv_conf: str = ""
    direct: list[str] = []
    """IP:PORT of the endpoints of the cluster's DNS."""
    seconds: float = 2.0
    """For each question."""


class Data(_Record):
    """One record. data as dig prints it."""

    name: str
    type: str
    ttl: int
    data: str


Outcome = Literal[
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "silent",
    "nobody listens",
    "unreachable",
    "garbage",
]


class Asked(_Record):
    """One question and what came of it. records: the answers. remembered: for how long a denial may be, seconds."""

    name: str
    type: str
    server: str
    """IP:PORT."""
    outcome: Outcome
    records: list[Data] = []
    remembered: int | None = None
    milliseconds: float = 0.0
    tcp: bool = False
    """The answer did not fit into a datagram, and was asked for again."""

    @property
    def answered(self) -> bool:
        return self.outcome.isupper()

    @property
    def found(self) -> bool:
        return self.outcome == "NOERROR" and bool(self.records)


class NameReport(_Record):
    """What the resolver did. `trouble`: why nothing could be asked."""

    trouble: str = ""
    nameservers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    ndots: int = 1
    names: list[str] = []
    """Every name that the resolver would try, in order; it ends at the first that exists."""
    asked: list[Asked] = []
    direct: list[Asked] = []
    proxy_mode: str = ""
    """Of the machine's kube-proxy, "" when none runs."""
    rules: int = 0
    """How many rules of the machine name the nameserver's address."""
    route_trouble: str = ""
    """Why the machine has no way to the nameserver."""
