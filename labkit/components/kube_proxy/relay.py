"""The relay: one thread and one epoll that carry every connection of every service port.

    client --(local port)--> Listener --accept--> Connection --balancer.next--> endpoint      tcp.py
    client --(local port)--> UdpListener --one socket per client, 10 s idle--> endpoint       udp.py

Everything here runs in the relay's thread except `listen`, `close`, `call` and `stop`, which any thread may use.
Plain epoll, because the loop's own cost per event is what decides how many connections a second a proxy carries;
copying through one buffer, because on a machine's own bridge copies come out of the cache and beat splice(2).
"""

import errno
import os
import resource
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from labkit.components.kube_proxy.balancer import Address, Balancer

BUFFER_BYTES = 256 * 1024
SWEEP_SECONDS = 0.25
SWITCH_SECONDS = 0.0002  # so long a sync may keep the relay from going on after each of its calls
SPARE_DESCRIPTORS = 128  # for the API client, for iptables, for what a library opens
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Report = Callable[..., None]  # report(decision, name, **fields): what became of a connection to a service port
Warn = Callable[..., None]  # warn(text, **fields): a trouble of the relay as a whole


class Expiring(Protocol):
    """What waits for no longer than a deadline."""

    def expired(self, now: float) -> None: ...


class Resuming(Protocol):
    """A connection with a flow that waits for its next turn."""

    closed: bool

    def go_on(self, flow: Any) -> None: ...


class Port(Protocol):
    """A local port in service: a Listener or a UdpListener."""

    sock: socket.socket

    def endpoints_changed(self, group: list[Address]) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self) -> None: ...


def raise_descriptor_limit() -> int:
    """Take all the descriptors that the system grants; the number of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Relay:
    """Owns the sockets. `run()` works until `stop()`; give it a thread of its own."""

    def __init__(self, balancer: Balancer, report: Report, warn: Warn, descriptors: int = 1024) -> None:
        self.balancer = balancer
        self.report = report
        self.warn = warn
        self.now = time.monotonic()
        self.refuses: Callable[[Address], bool] = lambda _: False  # an endpoint that would be a circle of connections
        self.buffer = bytearray(BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.deadlines: dict[Expiring, float] = {}
        self.again: dict[Any, Resuming] = {}  # flows that had more to carry than was fair -> their connections
        self._descriptors = descriptors - SPARE_DESCRIPTORS
        self.port_limit = self._descriptors * 3 // 4  # sockets of service ports: the rest is for connections
        self._used = 0
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._doomed: list[socket.socket] = []
        self._ports: dict[str, Port] = {}
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._paused = self._stopped = False
        self._next_sweep = 0.0

    # -- from any thread -------------------------------------------------------------------------------------------

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function(*args)` in the relay's thread, soon."""
        self._calls.append((function, args))
        os.eventfd_write(self._bell, 1)

    def stop(self) -> None:
        """End `run()`: every socket is closed, connections are cut."""
        self.call(self._stop)

    def close(self) -> None:
        """After `run()` has ended and nobody calls any more."""
        os.close(self._bell)

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Carry until told to stop."""
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            while not self._stopped:
                self._turn()
        finally:
            self._close_all()

    def _turn(self) -> None:
        wait = 0 if self.again else SWEEP_SECONDS if self.deadlines or self._paused else None
        events = self._epoll.poll(wait)
        self.now = time.monotonic()
        handlers = self._handlers
        for fd, mask in events:
            if handler := handlers.get(fd):
                handler(mask)
            elif fd == self._bell:
                self._answer_calls()
        if self.again:
            waiting, self.again = self.again, {}
            for flow, connection in waiting.items():
                if not connection.closed:
                    connection.go_on(flow)
        if self._doomed:  # only now: a descriptor that is closed early would be reused within this turn's events
            for sock in self._doomed:
                sock.close()
            self._doomed.clear()
        if self.now >= self._next_sweep:
            self._sweep()

    def _answer_calls(self) -> None:
        os.eventfd_read(self._bell)
        while self._calls:
            function, args = self._calls.popleft()
            function(*args)

    def _sweep(self) -> None:
        self._next_sweep = self.now + SWEEP_SECONDS
        for thing, deadline in list(self.deadlines.items()):
            if deadline <= self.now:
                thing.expired(self.now)
        if self._paused and self._used < self._descriptors * 0.99:
            self._resume()

    def _stop(self) -> None:
        self._stopped = True

    def _close_all(self) -> None:
        for port in self._ports.values():
            port.close()
        for handler in list(self._handlers.values()):
            handler.__self__.close()  # type: ignore[attr-defined]
        for sock in self._doomed:
            sock.close()
        self._epoll.close()

    # -- service ports ---------------------------------------------------------------------------------------------

    def add(self, name: str, port: Port) -> None:
        self._ports[name] = port
        self._used += 1
        if not self._paused:
            port.resume()

    def remove(self, name: str) -> None:
        """Stop accepting for a service port; connections that it has go on, as in the original."""
        if port := self._ports.pop(name, None):
            port.close()
            self.give_back(1)

    def set_endpoints(self, name: str, group: list[Address]) -> None:
        """Where connections to a service port go from now on; those that stand go on, but a vanished UDP endpoint
        would never be noticed, so its clients get another one with their next datagram."""
        self.balancer.set_endpoints(name, group)
        if port := self._ports.get(name):
            port.endpoints_changed(group)

    # -- descriptors -----------------------------------------------------------------------------------------------

    def watch(self, sock: socket.socket, events: int, handler: Callable[[int], None]) -> None:
        fd = sock.fileno()
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def rearm(self, sock: socket.socket, events: int) -> None:
        """Other events for a socket that is watched."""
        self._epoll.modify(sock.fileno(), events)

    def rewire(self, sock: socket.socket, handler: Callable[[int], None]) -> None:
        """Another handler for a socket that is watched."""
        self._handlers[sock.fileno()] = handler

    def unwatch(self, sock: socket.socket) -> None:
        if self._handlers.pop(sock.fileno(), None):
            self._epoll.unregister(sock.fileno())

    def doom(self, sock: socket.socket) -> None:
        """Close a socket at the end of this turn."""
        self._handlers.pop(sock.fileno(), None)
        self._doomed.append(sock)

    def take(self, count: int) -> bool:
        """Account for descriptors about to be opened; False, and accepting stops, when they would be too many."""
        if self._used + count > self._descriptors:
            self.pause()
            return False
        self._used += count
        return True

    def give_back(self, count: int) -> None:
        self._used -= count

    def pause(self) -> None:
        """Out of descriptors: let new connections wait in the kernel's queue until some are free."""
        if not self._paused:
            self._paused = True
            for port in self._ports.values():
                port.pause()
            self.warn("out of descriptors: no new connections", open=self._used, limit=self._descriptors)

    def _resume(self) -> None:
        self._paused = False
        for port in self._ports.values():
            port.resume()
        self.warn("accepting new connections again", open=self._used, limit=self._descriptors)
