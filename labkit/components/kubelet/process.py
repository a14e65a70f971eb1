"""What runs on the other end of `kubectl exec` and `attach`: a command in a container, or its first process."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)  # the numbers that WebSocket channels have; docker counts the same


@dataclass(frozen=True)
class Wanted:
    """Which of its streams are asked for. With a terminal there is no stderr of its own."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class Process(Protocol):
    """Its streams, until `close()`. Methods raise RuntimeFailure; `write` raises ConnectionError once it has ended."""

    def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """(STDOUT or STDERR, bytes) as they come; ends with the process."""

    async def write(self, data: bytes) -> None:
        """To its stdin; waits while it does not read."""

    async def end_input(self) -> None:
        """Its stdin ends."""

    async def resize(self, width: int, height: int) -> None:
        """Its terminal has so many columns and rows."""

    async def exit_code(self) -> int:
        """Once the output has ended; 0 for a process that was only attached to."""

    async def close(self) -> None:
        """Let go of it. A command that still runs has its stdin at the end, and is ended if it does not mind that; what
        was attached to runs on."""
