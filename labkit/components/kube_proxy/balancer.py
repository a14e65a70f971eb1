"""Which endpoint the next connection goes to: round robin, as the original did it in 2015.

    endpoints of default/redis-master:   shuffled once when they change, then taken in turn
    --balancing=random:                  any of them each time, except that a retry takes the next in turn
    sessionAffinity: ClientIP            the same client address gets the same endpoint, for 180 minutes after each use

The documentation of the time says "chosen at random"; the code never was, so that is a switch here. A service port is
known by its name `NAMESPACE/SERVICE:PORTNAME` (the port's name may be empty: `default/redis-master:`), which is the
comment in its firewall rules too. Source: pkg/proxy/roundrobin.go of Kubernetes 0.18.
"""

import random
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from labkit.api.types import Endpoints, Service, ServicePort, key

AFFINITY_SECONDS = 180 * 60
AFFINITY_CLIENTS = 10_000  # remembered per service port; beyond it the one that was used longest ago goes


class Address(NamedTuple):
    """Where a backend listens."""

    ip: str
    port: int


def port_name(service: Service, port: ServicePort) -> str:
    """`default/redis-master:`, `default/svc-multi:http`."""
    return f"{key(service)}:{port.name}"


def addresses(endpoints: Endpoints) -> dict[str, list[Address]]:
    """The endpoints of each service port, in the order of the object, each address once, only those that are usable."""
    found: dict[str, dict[Address, None]] = {}
    for subset in endpoints.subsets:
        for port in subset.ports:
            named = found.setdefault(f"{key(endpoints)}:{port.name}", {})
            named.update((Address(each.ip, port.port), None) for each in subset.addresses if usable(each.ip, port.port))
    return {name: list(group) for name, group in found.items()}


def usable(ip: str, port: int) -> bool:
    """Whether connections may go there: an IPv4 address, not this machine's loopback, where private things listen."""
    try:
        socket.inet_pton(socket.AF_INET, ip)  # a tenth of the price of ipaddress, which 50,000 endpoints feel
    except (OSError, ValueError):
        return False
    return not ip.startswith("127.") and 0 < port < 65536


class _Port:
    """The backends of one service port, whose turn it is, and who is pinned to which."""

    def __init__(self) -> None:
        self.endpoints: list[Address] = []
        self.turn = 0
        self.pins: dict[str, tuple[Address, float]] = {}  # client -> endpoint and time of last use, oldest first

    def take(self, chance: Callable[[int], int] | None = None) -> Address:
        if chance:
            self.turn = chance(len(self.endpoints))
        endpoint = self.endpoints[self.turn]
        self.turn = (self.turn + 1) % len(self.endpoints)
        return endpoint

    def pin(self, client: str, now: float, retry: bool, chance: Callable[[int], int] | None) -> Address:
        endpoint, used = self.pins.pop(client, (None, 0.0))
        if endpoint is None or retry or now - used >= AFFINITY_SECONDS:
            endpoint = self.take(chance)
        if len(self.pins) >= AFFINITY_CLIENTS:
            del self.pins[next(iter(self.pins))]
        self.pins[client] = endpoint, now
        return endpoint


class Balancer:
    """Hands out endpoints; belongs to one thread.

    chance: picks one of so many, `random.randrange`; None for round robin.
    """

    def __init__(
        self,
        shuffle: Callable[[list[Address]], None] = random.shuffle,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[int], int] | None = None,
    ) -> None:
        self._chance = chance
        self._shuffle = shuffle
        self._clock = clock
        self._ports: defaultdict[str, _Port] = defaultdict(_Port)
        self._sticky: set[str] = set()

    def set_affinity(self, name: str, client_ip: bool) -> None:
        """Whether the service port pins its clients; one that stops doing so forgets them."""
        if client_ip:
            self._sticky.add(name)
        elif name in self._sticky:
            self._sticky.discard(name)
            self._ports[name].pins.clear()

    def set_endpoints(self, name: str, group: list[Address]) -> None:
        """The backends of a service port from now on. The same ones as before keep their order and their turn."""
        if not group:
            self._ports.pop(name, None)
            return
        port = self._ports[name]
        if set(port.endpoints) == set(group):
            return
        port.endpoints = list(group)
        self._shuffle(port.endpoints)
        port.turn = 0
        port.pins = {client: pin for client, pin in port.pins.items() if pin[0] in group}

    def next(self, name: str, client: str, *, retry: bool = False) -> Address | None:
        """The endpoint for a connection of `client` (an IP address), None when the service port has none.

        retry: what was handed out before did not answer, so affinity to it is given up (0.18 insisted on the dead one).
        """
        port = self._ports.get(name)
        if port is None or not port.endpoints:
            return None
        chance = None if retry else self._chance
        return port.pin(client, self._clock(), retry, chance) if name in self._sticky else port.take(chance)
