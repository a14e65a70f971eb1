"""The node ports in use, each held by a bound socket, so that nobody else on the machine can take it meanwhile.

The socket never listens: iptables leads connections to the service's local port before they could reach it.
Source: claimNodePort in pkg/proxy/proxier.go of Kubernetes 0.18.
"""

import errno
import socket
from typing import NamedTuple


class NodePort(NamedTuple):
    protocol: str  # TCP or UDP
    number: int


class NodePorts:
    """Who holds which; every service port has at most one."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._sockets: dict[NodePort, socket.socket] = {}
        self._owners: dict[NodePort, str] = {}
        self._held: dict[str, NodePort] = {}  # the other way round

    def __len__(self) -> int:
        """How many sockets are held."""
        return len(self._sockets)

    def claim(self, name: str, protocol: str, number: int) -> str:
        """Make this the one node port of a service port (0: none). "" or why it cannot have it."""
        wanted = NodePort(protocol, number)
        if self._held.get(name) == wanted:
            return ""
        self.release(name)
        if not number:
            return ""
        if owner := self._owners.get(wanted):
            return f"node port {number} is taken by {owner}"
        try:
            self._sockets[wanted] = self._bound(wanted)
        except OSError as exc:
            who = "a process of this machine" if exc.errno == errno.EADDRINUSE else exc.strerror
            return f"node port {number} cannot be used, {who} has it; stop that or choose another nodePort"
        self._owners[wanted] = name
        self._held[name] = wanted
        return ""

    def release(self, name: str) -> None:
        """The service port needs its node port no more."""
        if held := self._held.pop(name, None):
            self._sockets.pop(held).close()
            del self._owners[held]

    def close(self) -> None:
        for name in list(self._held):
            self.release(name)

    def _bound(self, wanted: NodePort) -> socket.socket:
        kind = socket.SOCK_DGRAM if wanted.protocol == "UDP" else socket.SOCK_STREAM
        sock = socket.socket(socket.AF_INET, kind)
        try:
            sock.bind((self._address, wanted.number))
        except OSError:
            sock.close()
            raise
        return sock
