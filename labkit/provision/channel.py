"""One command on an SSH channel: feeds its input and reads both its outputs as they come, in bounded time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import paramiko

POLL_SECONDS = 0.005
LINGER_SECONDS = 0.5
"""A command that has ended may leave a child that holds its output open: we wait no longer than this for the rest."""


@dataclass(frozen=True)
class Result:
    rc: int
    out: str
    err: str


class Reader:
    """Both outputs of one command, read as they come."""

    def __init__(self, channel: paramiko.Channel, on_line: Callable[[str], None] | None) -> None:
        self.channel = channel
        self.on_line = on_line
        self.out, self.err = bytearray(), bytearray()
        self._told = 0

    def finish(self, input: bytes | str | None, seconds: float) -> Result:
        """Raises TimeoutError; the channel is closed in any case."""
        deadline = time.monotonic() + seconds
        try:
            self._send(input.encode() if isinstance(input, str) else input or b"", deadline)
            ended: float | None = None
            while True:
                while self._read():
                    pass
                if self.channel.exit_status_ready():
                    ended = ended or time.monotonic()
                    if self.channel.eof_received or time.monotonic() - ended > LINGER_SECONDS:
                        break
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(POLL_SECONDS)
            while self._read():
                pass
            return Result(
                self.channel.recv_exit_status(), self.out.decode(errors="replace"), self.err.decode(errors="replace")
            )
        finally:
            self.channel.close()

    def _send(self, data: bytes, deadline: float) -> None:
        self.channel.settimeout(max(1.0, deadline - time.monotonic()))
        sent = 0
        while sent < len(data) and not self.channel.exit_status_ready():
            sent += self.channel.send(data[sent : sent + 65536])
            self._read()
        self.channel.shutdown_write()

    def _read(self) -> bool:
        got = False
        if self.channel.recv_ready():
            self.out += self.channel.recv(1 << 20)
            self._tell()
            got = True
        if self.channel.recv_stderr_ready():
            self.err += self.channel.recv_stderr(1 << 20)
            got = True
        return got

    def _tell(self) -> None:
        if self.on_line:
            end = self.out.rfind(b"\n") + 1
            for line in self.out[self._told : end].decode(errors="replace").splitlines():
                self.on_line(line)
            self._told = max(end, self._told)
