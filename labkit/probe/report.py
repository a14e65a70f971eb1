"""What the host asks of a machine, and what the machine tells: the two JSON documents of `python -m labkit.probe`.

Every address is `IP:PORT`. The host reads these types too; they know nothing of how things are found out.
"""

from typing import Literal

import msgspec


class _Record(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    pass


class Request(_Record):
    """One request to `target`. `seconds` bounds everything that waits for an answer."""

    target: str
    protocol: Literal["tcp", "udp"] = "tcp"
    pod: str = ""
    """From this pod of this machine (NAMESPACE/NAME)."""
    netns: str = ""
    """From this network namespace (a path); without one, a pod or a client: from the machine itself."""
    client: str = ""
    """Somebody else sends, from this address (port 0: from any): say `armed` on a line of its own, then only watch."""
    send: bytes = b""
    """What to say once connected (base64 in JSON). A datagram without a byte is one, too."""
    service: str = ""
    """The service port's name in comments of rules, `default/redis-master:`; "" for none."""
    backends: list[str] = []
    """The service port's endpoints."""
    seconds: float = 5.0
    hold: float = 0.0
    """Keep the connection open for so long after its ending is known: another machine looks at it."""


class Packet(_Record):
    source: str
    destination: str


class Maker(_Record):
    """Where in labkit's source the thing that wrote a rule is. function: empty for a file that is no Python."""

    function: str
    file: str
    line: int


class Hit(_Record):
    """A rule that the packet met and that matched. position: 1 is the chain's first rule, 0 is unknown."""

    table: str
    chain: str
    rule: str
    verdict: str
    """accept, drop, continue, return, `jump CHAIN` or `goto CHAIN`."""
    position: int = 0
    maker: Maker | None = None


class Look(_Record):
    """The packet as it came to a built-in chain, and what happened to it there."""

    table: str
    chain: str
    packet: Packet
    interface: str = ""
    hits: list[Hit] = []


class Flow(_Record):
    """An entry of conntrack: how a connection was addressed, and what its answers look like before they are changed."""

    original: Packet
    reply: Packet
    state: str = ""


class Attempt(_Record):
    """The proxy's own first packet to an endpoint. answer: "" or `refused`."""

    source: str
    destination: str
    answer: str = ""


class Socket(_Record):
    """A socket as ss tells it; pid 0 when no process holds it."""

    state: str
    local: str
    peer: str
    pid: int = 0
    fd: int = 0


class Proxy(_Record):
    """The process kube-proxy of this machine. mode: its --proxy-mode. chooser: what hands out endpoints in it."""

    pid: int
    mode: str
    command: str
    chooser: Maker | None = None


class Route(_Record):
    """Where a packet to an address goes next: `via` is empty for what is on the machine's own networks."""

    to: str
    via: str = ""
    dev: str = ""
    source: str = ""
    trouble: str = ""


Ending = Literal["answered", "connected", "sent", "closed", "reset", "refused", "silent", "unreachable", ""]
"""answered: bytes came. connected: and nothing more was asked. sent: a datagram, no answer. closed: the other side
ended the connection without a byte. silent: no answer to the first packet. "": somebody else sent."""


class Report(_Record):
    """What was seen. `trouble`: why the request could not even be made."""

    trouble: str = ""
    ending: Ending = ""
    answer: bytes = b""
    """Its first bytes (base64 in JSON)."""
    milliseconds: float = 0.0
    client: str = ""
    looks: list[Look] = []
    flow: Flow | None = None
    proxy: Proxy | None = None
    listening: list[Socket] = []
    """Who listens on the local port that the rules lead to (userspace mode)."""
    accepted: Socket | None = None
    outgoing: Socket | None = None
    attempts: list[Attempt] = []
    routes: list[Route] = []
    """To each endpoint, from the machine."""
    way: Route | None = None
    """To the target, when the machine itself sends: before any rule can rewrite a packet, it needs one."""
    service_rules: int = 0
    """How many rules of this machine name the service port or its address."""
