"""Processes of the runtime that runs nothing: a handful of commands that the contract of all runtimes uses."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable

from labkit.components.kubelet.process import STDERR, STDOUT, Wanted
from labkit.components.kubelet.runtime import Connection
from labkit.upgrade import close


class FakeProcess:
    """It prints what it was given to print, then what it reads when it `echoes`, and ends."""

    def __init__(
        self, *, echoes: bool = False, wanted: Wanted, stream: int = STDOUT, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._echoes = echoes
        self._stream = STDOUT if wanted.tty else stream
        self._on_end = on_end
        self._output: asyncio.Queue[bytes] = asyncio.Queue(4)
        self._ended = False
        self._code = 0

    @classmethod
    def of(cls, command: list[str], wanted: Wanted) -> "FakeProcess":
        """`cat`, `sleep N` (for ever), `echo ...`, and a shell's `exit N`, `cat >&2` and `stty size`."""
        match command:
            case ["cat"] if wanted.stdin:
                return cls(echoes=True, wanted=wanted)
            case ["sh", "-c", "cat >&2"]:
                return cls(echoes=True, wanted=wanted, stream=STDERR)
            case ["sleep", _]:
                return cls(wanted=wanted)
        process = cls(wanted=wanted)
        match command:
            case ["sh", "-c", text] if text.startswith("exit "):
                process.end(int(text.removeprefix("exit ")))
            case ["echo", *words]:
                process._output.put_nowait((" ".join(words) + "\n").encode())
                process.end(0)
            case _:
                process.end(0)
        return process

    def end(self, code: int) -> None:
        if not self._ended:
            self._ended, self._code = True, code
            if not self._output.full():
                self._output.put_nowait(b"")

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        while not (self._ended and self._output.empty()):
            if data := await self._output.get():
                yield self._stream, data

    async def write(self, data: bytes) -> None:
        if self._ended:
            raise ConnectionResetError("the process has ended")
        if self._echoes:
            await self._output.put(data)

    async def end_input(self) -> None:
        if self._echoes:
            self.end(0)
            self._on_end()

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def exit_code(self) -> int:
        return self._code

    async def close(self) -> None:
        self._ended = True


async def echoing() -> Connection:
    """A connection to somebody who sends back what he gets."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=theirs)

    async def echo() -> None:
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
        await close(writer)

    _echoes.add(task := asyncio.create_task(echo()))
    task.add_done_callback(_echoes.discard)
    ours.setblocking(False)
    return await asyncio.open_connection(sock=ours)


_echoes: set[asyncio.Task[None]] = set()
