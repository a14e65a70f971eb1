"""One client that does nothing but wait: a blocking socket, as curl's or a Go program's thread has it.

An event loop with one connection costs the load more than half of what the server spends (epoll, a BIO in memory,
callbacks), and with one request under way all of that is the client's own time in the figure. Here OpenSSL reads from
the socket itself, into one buffer; what is left is one write, one read for each TLS record, and a look at the answer.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

from bench.api.connection import Answered, Target, WrongAnswer

SECONDS = 30.0  # for one answer
_BUFFER = 4 * 1024 * 1024


class OneClient:
    """Asks one question after the other; `times`: seconds from sending each to its whole answer."""

    def __init__(self, target: Target, check: Answered) -> None:
        plain = socket.create_connection((target.host, target.port), SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = target.context.wrap_socket(plain, server_hostname=target.host) if target.context else plain
        self._buffer = bytearray(_BUFFER)
        self._check = check
        self.times: list[float] = []

    def ask_all(self, questions: Iterator[bytes], clock: Callable[[], float] = time.perf_counter) -> None:
        """Until there are no more. Raises WrongAnswer."""
        for question in questions:
            sent = clock()
            self._socket.sendall(question)
            status, body = self._answer()
            self.times.append(clock() - sent)
            self._check(status, body)
        self._socket.close()

    def _answer(self) -> tuple[int, bytes]:
        """Of a Content-Length. Raises WrongAnswer, TimeoutError."""
        view, size, head, whole = memoryview(self._buffer), 0, -1, _BUFFER
        while size < whole:
            received = self._socket.recv_into(view[size:])
            if not received:
                raise WrongAnswer(f"the server closed the connection after {size} bytes")
            size += received
            if head < 0 and (head := self._buffer.find(b"\r\n\r\n", 0, size)) >= 0:
                at = self._buffer.index(b"Content-Length: ", 0, head + 2) + 16
                whole = head + 4 + int(self._buffer[at : self._buffer.index(b"\r", at)])
        return int(self._buffer[9:12]), bytes(view[head + 4 : whole])
