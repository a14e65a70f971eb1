"""One service port over TCP, and the connections that came through it.

    client ==> up ==> endpoint        a Flow each way: read what is there, write it to the other side, keep what it does
    client <== down <== endpoint      not take, and read no more until it has taken that (back-pressure)

The end of one direction is passed on as an end of that direction only (half-close); a reset is passed on as a reset.
A backend that refuses or does not answer within 1, 2, 4, 8 seconds costs a try, and the next in turn is tried; after
four tries, or when there is no endpoint at all, the client's connection is closed.
Source: pkg/proxy/proxysocket.go of Kubernetes 0.18; epoll(7) on edge-triggered use.
"""

import errno
import select
import socket
import struct
from contextlib import suppress

from labkit.components.kube_proxy.balancer import Address
from labkit.components.kube_proxy.relay import BUFFER_BYTES, NO_DESCRIPTOR, Relay

DIAL_SECONDS = (1.0, 2.0, 4.0, 8.0)
ROUNDS_PER_TURN = 8  # buffers that one flow may carry before the others have their turn
KEEPALIVE_SECONDS = 180  # a client that vanished is noticed in the end

_HUNG = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_READABLE = select.EPOLLIN | _HUNG
_READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_READ_AND_WRITE = _READ | select.EPOLLOUT
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close sends RST


def listen(address: str, port: int) -> socket.socket:
    """A listening socket; OSError when the port is taken. What it sets, the connections that it accepts inherit."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((address, port))
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock


class Listener:
    """The local port of a service port."""

    def __init__(self, relay: Relay, name: str, sock: socket.socket) -> None:
        self.relay = relay
        self.name = name
        self.sock = sock

    def endpoints_changed(self, group: list[Address]) -> None:
        """Connections that stand go on; to one whose endpoint is gone, TCP will tell."""

    def resume(self) -> None:
        self.relay.watch(self.sock, select.EPOLLIN, self.on_event)

    def pause(self) -> None:
        self.relay.unwatch(self.sock)

    def close(self) -> None:
        self.pause()
        self.relay.doom(self.sock)

    def on_event(self, _: int) -> None:
        """One client a turn; epoll says so again while more are waiting."""
        if not self.relay.take(2):
            return
        try:
            client, address = self.sock.accept()
        except OSError as exc:  # that client is gone already, or:
            self.relay.give_back(2)
            if exc.errno in NO_DESCRIPTOR:
                self.relay.pause()
            return
        Connection(self.relay, self.name, client, address[0]).dial()


class Flow:
    """One direction of a connection. MSG_DONTWAIT saves the call that makes an accepted socket non-blocking."""

    __slots__ = ("armed", "done", "ended", "hung", "rest", "sink", "source")

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.rest: memoryview | None = None  # read, but not yet taken by the sink
        self.hung = 0  # what epoll said about the source's end
        self.ended = False  # the source has come to its end
        self.done = False  # ... and all before it was carried
        self.armed = False  # epoll will tell when the sink has room again

    def pump(self, relay: Relay) -> bool:
        """Carry what can be carried; True if there is more. OSError: the connection is broken."""
        if self.rest is not None and not self._flush(relay):
            return False
        for _ in range(ROUNDS_PER_TURN):
            if self.ended:
                self.done = True
                return False
            try:
                size = self.source.recv_into(relay.buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            if size:
                self.rest = relay.view[:size]
                if not self._flush(relay):
                    return False
            if size < BUFFER_BYTES and not self._end_in_sight(size):
                return False  # a short read emptied the source; its next bytes are a new event
        return True

    def read_ahead(self, relay: Relay) -> None:
        """Read, once, what has come while there is no sink yet."""
        if self.rest is None and not self.ended:
            with suppress(OSError):  # nothing yet; an error will be seen again when it is time
                size = self.source.recv_into(relay.buffer, 0, socket.MSG_DONTWAIT)
                self.rest = memoryview(bytes(relay.view[:size])) if size else None
                self.ended = not size

    def _flush(self, relay: Relay) -> bool:
        """Write `rest`; False when some of it stays."""
        assert self.rest is not None
        try:
            sent = self.sink.send(self.rest, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent == len(self.rest):
            self.rest = None
            return True
        self.rest = memoryview(bytes(self.rest[sent:]))  # out of the buffer that all flows share
        if not self.armed:
            self.armed = True
            relay.rearm(self.sink, _READ_AND_WRITE)
        return False

    def _end_in_sight(self, size: int) -> bool:
        """After a short read: the last bytes and the end often come together, and epoll has told of both."""
        self.ended = not size or self.hung == select.EPOLLRDHUP
        return self.ended or self.hung != 0


class Connection:
    """A client, the endpoint that it was given, and a flow each way."""

    __slots__ = ("backend", "client", "closed", "down", "ip", "name", "relay", "tries", "up")

    def __init__(self, relay: Relay, name: str, client: socket.socket, ip: str) -> None:
        self.relay = relay
        self.name = name
        self.client = client
        self.ip = ip
        self.tries = 0
        self.closed = False
        self.backend: socket.socket | None = None
        self.up = Flow(client, client)  # its sink, and the other's source, are found by dialing
        self.down = Flow(client, client)

    # -- finding an endpoint ---------------------------------------------------------------------------------------

    def dial(self) -> None:
        """Begin to connect to the next endpoint in turn; close the client when there is none (left)."""
        relay = self.relay
        while self.tries < len(DIAL_SECONDS):
            endpoint = relay.balancer.next(self.name, self.ip, retry=self.tries > 0)
            if endpoint is None:
                relay.report("no endpoints", self.name, client=self.ip)
                break
            relay.report("connecting", self.name, client=self.ip, endpoint=endpoint, attempt=self.tries + 1)
            if relay.refuses(endpoint):
                relay.report("refused: the endpoint is a service's address", self.name, endpoint=endpoint)
            elif self._connect(endpoint):
                return
            self.tries += 1
        self.close()

    def _connect(self, endpoint: tuple[str, int]) -> bool:
        """Whether there is hope: False when the endpoint refused at once."""
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as exc:
            if exc.errno not in NO_DESCRIPTOR:
                raise
            self.relay.pause()
            return False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if (refused := sock.connect_ex(endpoint)) not in (0, errno.EINPROGRESS):
                raise OSError(refused, "connect")
            stands = self._speak_first(sock)
        except OSError:
            sock.close()
            return False
        self.backend = self.up.sink = self.down.source = sock
        self.up.armed = not stands
        if stands:
            self.relay.watch(sock, _READ, self.on_backend)
            self._carry_from_now_on()
        else:
            self.relay.watch(sock, _READ_AND_WRITE, self.on_dialed)
            self.relay.deadlines[self] = self.relay.now + DIAL_SECONDS[self.tries]
        return True

    def _speak_first(self, sock: socket.socket) -> bool:
        """Try to hand over what the client has said already; True if that worked, OSError if it never will.

        On a machine's own bridge a connection stands when connect returns, whatever that says: a turn is saved.
        """
        self.up.read_ahead(self.relay)
        if self.up.rest is None:
            return False
        try:
            sent = sock.send(self.up.rest)
        except BlockingIOError:
            return False
        self.up.rest = self.up.rest[sent:] or None
        return True

    def on_dialed(self, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self._try_next()
            return
        assert self.backend is not None
        del self.relay.deadlines[self]
        self.relay.rewire(self.backend, self.on_backend)
        self._carry_from_now_on()
        if events & _READABLE and not self.closed:
            self.on_backend(events)

    def expired(self, now: float) -> None:
        self._try_next()

    def _try_next(self) -> None:
        assert self.backend is not None
        del self.relay.deadlines[self]
        self.relay.doom(self.backend)
        self.backend = None
        self.tries += 1
        self.dial()

    # -- carrying --------------------------------------------------------------------------------------------------

    def _carry_from_now_on(self) -> None:
        self.relay.watch(self.client, _READ, self.on_client)
        if self.up.rest is not None or self.up.ended:
            if not self.up.armed:
                self.up.armed = True
                self.relay.rearm(self.up.sink, _READ_AND_WRITE)
            self.go_on(self.up)

    def on_client(self, events: int) -> None:
        self._carry(self.up, self.down, events)

    def on_backend(self, events: int) -> None:
        self._carry(self.down, self.up, events)

    def _carry(self, reading: Flow, writing: Flow, events: int) -> None:
        """One side has something to read, room to write, or has come to an end."""
        try:
            if events & select.EPOLLOUT and writing.rest is not None:
                self._pump(writing)
            if events & _READABLE:
                reading.hung |= events & _HUNG
                if reading.done and events & select.EPOLLERR:
                    self.reset()  # it had ended its own direction; now it does not listen any more either
                elif reading.rest is None and not reading.done:
                    self._pump(reading)
        except OSError:
            self.reset()

    def go_on(self, flow: Flow) -> None:
        """The flow's next turn."""
        try:
            self._pump(flow)
        except OSError:
            self.reset()

    def _pump(self, flow: Flow) -> None:
        if flow.pump(self.relay):
            self.relay.again[flow] = self
        elif flow.done:
            if self.up.done and self.down.done:
                self.close()
            else:
                flow.sink.shutdown(socket.SHUT_WR)

    # -- the end ---------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """What broke on one side breaks on the other."""
        for sock in (self.client, self.backend):
            if sock is not None:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        relay = self.relay
        relay.deadlines.pop(self, None)
        relay.doom(self.client)
        if self.backend is not None:
            relay.doom(self.backend)
        relay.give_back(2)
