"""One service port over UDP: a socket of its own towards an endpoint for each client, forgotten after 10 idle seconds.

    client 10.244.2.7:40112 --> local port --> Session(10.244.2.7:40112) --> endpoint 10.245.1.11:53
                            <--            <--   answers of that endpoint go to that client only

The answer must leave from the very address that the request came to, or connection tracking does not recognise it and
cannot turn it back into one from the cluster IP: IP_PKTINFO tells that address and sets it (ip(7)).
Source: udpProxySocket in pkg/proxy/proxysocket.go of Kubernetes 0.18.
"""

import select
import socket
import struct

from labkit.components.kube_proxy.balancer import Address
from labkit.components.kube_proxy.relay import NO_DESCRIPTOR, Relay

IDLE_SECONDS = 10.0
DATAGRAMS_PER_TURN = 64
TRIES = 4  # endpoints that may be a service's address, for one client

_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)  # Python 3.11 does not name it
_PKTINFO = struct.Struct("I4s4s")  # in_pktinfo: interface, local address, address in the header
_SPACE = socket.CMSG_SPACE(_PKTINFO.size)


def bind(address: str, port: int) -> socket.socket:
    """A bound socket that tells where each datagram was sent to; OSError when the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


class UdpListener:
    """The local port of a service port."""

    def __init__(self, relay: Relay, name: str, sock: socket.socket) -> None:
        self.relay = relay
        self.name = name
        self.sock = sock
        self.sessions: dict[tuple[str, int], Session] = {}

    def endpoints_changed(self, group: list[Address]) -> None:
        for session in list(self.sessions.values()):
            if session.endpoint not in group:
                session.close()

    def resume(self) -> None:
        self.relay.watch(self.sock, select.EPOLLIN, self.on_event)

    def pause(self) -> None:
        """Clients that are known go on; a new one is not let in (see `_session`)."""

    def close(self) -> None:
        for session in list(self.sessions.values()):
            session.close()
        self.relay.unwatch(self.sock)
        self.relay.doom(self.sock)

    def on_event(self, _: int) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                size, ancillary, _, client = self.sock.recvmsg_into([self.relay.buffer], _SPACE)
            except OSError:  # EAGAIN, or what became of an earlier answer
                return
            self._forward(client, self.relay.view[:size], _local_address(ancillary))

    def _forward(self, client: tuple[str, int], data: memoryview, local: bytes) -> None:
        for _ in range(2):  # a session whose endpoint refused is replaced, once
            session = self.sessions.get(client) or self._session(client, local)
            if session is None or session.send(data):
                return

    def _session(self, client: tuple[str, int], local: bytes) -> "Session | None":
        endpoint = self._endpoint(client[0])
        if endpoint is None or not self.relay.take(1):
            return None
        try:
            session = self.sessions[client] = Session(self, client, local, endpoint)
        except OSError as exc:
            self.relay.give_back(1)
            if exc.errno in NO_DESCRIPTOR:
                self.relay.pause()
            return None
        self.relay.report("connecting", self.name, client=client[0], endpoint=endpoint, attempt=1)
        return session

    def _endpoint(self, client: str) -> Address | None:
        """The next in turn that may be asked."""
        for attempt in range(TRIES):
            endpoint = self.relay.balancer.next(self.name, client, retry=attempt > 0)
            if endpoint is None:
                self.relay.report("no endpoints", self.name, client=client)
                return None
            if not self.relay.refuses(endpoint):
                return endpoint
            self.relay.report("refused: the endpoint is a service's address", self.name, endpoint=endpoint)
        return None


class Session:
    """One client's socket towards its endpoint."""

    def __init__(self, listener: UdpListener, client: tuple[str, int], local: bytes, endpoint: Address) -> None:
        self.listener = listener
        self.relay = listener.relay
        self.client = client
        self.endpoint = endpoint
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self.sock.connect(endpoint)
        except OSError:
            self.sock.close()
            raise
        self.last_used = self.relay.now
        self._from = [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, local, bytes(4)))]
        self.relay.watch(self.sock, select.EPOLLIN, self.on_event)
        self.relay.deadlines[self] = self.last_used + IDLE_SECONDS

    def send(self, data: memoryview) -> bool:
        """To the endpoint; False when it turned out to refuse, and the session is closed."""
        self.last_used = self.relay.now
        try:
            self.sock.send(data)
        except BlockingIOError:
            return True  # the datagram is lost, as datagrams may be
        except OSError:
            self.close()
            return False
        return True

    def on_event(self, _: int) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                size = self.sock.recv_into(self.relay.buffer)
            except BlockingIOError:
                return
            except OSError:  # refused: let the next datagram find another endpoint
                self.close()
                return
            self.last_used = self.relay.now
            try:
                self.listener.sock.sendmsg([self.relay.view[:size]], self._from, 0, self.client)
            except OSError:
                return  # the client is gone, or the datagram is lost

    def expired(self, now: float) -> None:
        if now - self.last_used >= IDLE_SECONDS:
            self.close()
        else:
            self.relay.deadlines[self] = self.last_used + IDLE_SECONDS

    def close(self) -> None:
        if self.listener.sessions.get(self.client) is self:
            del self.listener.sessions[self.client]
            self.relay.deadlines.pop(self, None)
            self.relay.unwatch(self.sock)
            self.relay.doom(self.sock)
            self.relay.give_back(1)


def _local_address(ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """Where a datagram was sent to: 4 bytes; all zero leaves the choice to the kernel."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            local: bytes = _PKTINFO.unpack_from(data)[1]
            return local
    return bytes(4)
