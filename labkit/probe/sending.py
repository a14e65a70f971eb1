"""The request itself: one TCP connection, or one datagram, made step by step so that others can look meanwhile.

open      in the pod's namespace; bound, so that its port is known before anything is sent
begin     connect
advance   again and again until True: the ending is known
"""

import errno
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from labkit.probe import netns
from labkit.probe.report import Ending, Packet, Request

TICK_SECONDS = 0.02
GREETING_SECONDS = 0.2  # so long a connection that is through may take to say something by itself
DATAGRAM_SECONDS = 1.0
WATCH_SECONDS = 1.0  # so long a connection of somebody else's is looked at
ANSWER_BYTES = 400


class Client(Protocol):
    """Whoever sends. `client` is its address, IP:PORT, known after `begin`."""

    client: str
    ending: Ending
    answer: bytes
    milliseconds: float

    def begin(self) -> None: ...

    def advance(self, through: bool) -> bool:
        """Wait a moment; True at the end. through: an endpoint has the request, as far as others can see."""
        ...

    def close(self) -> None: ...


class Sender:
    """Sends from this machine, or from a pod on it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.client = ""
        self.ending: Ending = ""
        self.answer = b""
        self.milliseconds = 0.0
        path = netns.of_pod(request.pod) if request.pod else request.netns
        self.own = not path or netns.is_own(path)
        self._sock = self._open() if self.own else netns.inside(path, self._open)
        self.port = int(self._sock.getsockname()[1])
        self._connected = 0.0
        self._through = 0.0

    def _open(self) -> socket.socket:
        kind = socket.SOCK_STREAM if self.request.protocol == "tcp" else socket.SOCK_DGRAM
        sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        sock.bind(("", 0))
        return sock

    def begin(self) -> None:
        ip, _, port = self.request.target.partition(":")
        self._began = time.monotonic()
        code = self._sock.connect_ex((ip, int(port)))
        self.client = "{}:{}".format(*self._sock.getsockname())
        if code not in (0, errno.EINPROGRESS):
            self._end_by(code)
        elif self.request.protocol == "udp":
            self._talk()

    def advance(self, through: bool) -> bool:
        if self.ending:
            return True
        reading, writing, _ = select.select([self._sock], [] if self._connected else [self._sock], [], TICK_SECONDS)
        if writing:
            self._connect_ended()
        elif reading and self._connected:
            self._hear()
        now = time.monotonic()
        if through and not self._through:
            self._through = now
        if not self.ending and now >= self._patience():
            self.ending = "silent" if not self._connected else "connected" if self.request.protocol == "tcp" else "sent"
        return bool(self.ending)

    def _patience(self) -> float:
        """When to wait no longer."""
        if self.request.protocol == "udp":
            return self._began + min(DATAGRAM_SECONDS, self.request.seconds)
        if self._connected and self._through and not self.request.send:
            return self._through + GREETING_SECONDS
        return self._began + self.request.seconds

    def _connect_ended(self) -> None:
        if code := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._end_by(code)
        else:
            self._talk()

    def _talk(self) -> None:
        self._connected = time.monotonic()
        self.milliseconds = round((self._connected - self._began) * 1000, 2)
        if self.request.send or self.request.protocol == "udp":
            with suppress(OSError):  # told by the next recv
                self._sock.send(self.request.send)

    def _hear(self) -> None:
        try:
            data = self._sock.recv(ANSWER_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._end_by(exc.errno or errno.EIO)
            return
        self.milliseconds = round((time.monotonic() - self._began) * 1000, 2)
        self.answer = data
        self.ending = "answered" if data or self.request.protocol == "udp" else "closed"

    def _end_by(self, code: int) -> None:
        self.milliseconds = round((time.monotonic() - self._began) * 1000, 2)
        endings: dict[int, Ending] = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}
        endings[errno.EPIPE] = "reset"
        self.ending = endings.get(code, "unreachable")

    def close(self) -> None:
        self._sock.close()


class Watched:
    """Somebody else sends; `arrived` tells its first packet, once it has come."""

    ending: Ending = ""
    answer = b""
    milliseconds = 0.0
    own = False

    def __init__(self, request: Request) -> None:
        self.request = request
        self.client = request.client
        self.port = int(request.client.rpartition(":")[2])
        self.arrived: Callable[[], Packet | None] = lambda: None
        self._seen = 0.0

    def begin(self) -> None:
        self._began = time.monotonic()
        print("armed", flush=True)

    def advance(self, through: bool) -> bool:
        time.sleep(TICK_SECONDS)
        now = time.monotonic()
        if not self._seen and (packet := self.arrived()):
            self.client, self._seen = packet.source, now
        enough = self._seen and now - self._seen >= (GREETING_SECONDS if through else WATCH_SECONDS)
        return bool(enough) or now - self._began >= self.request.seconds

    def close(self) -> None:
        pass
