"""`kubectl exec` and `attach`: a client's streams on one side, a process on the other, bytes both ways.

    Console (SPDY streams or WebSocket channels)          Process (docker)
        stdin    ------------------------------------->   write, end_input
        resize   ------------------------------------->   resize
        stdout, stderr   <-----------------------------   output
        error    <----- Status: Success, or the exit code

Whoever ends first ends the other: a process that has ended is told to the client with its exit code, a client that
went away costs the process its stdin and its listener.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple, Protocol

import msgspec

from labkit.components.kubelet.process import Process
from labkit.components.kubelet.runtime import RuntimeFailure


class Size(NamedTuple):
    """Of a terminal, in characters."""

    width: int
    height: int


class Console(Protocol):
    """The client's side."""

    async def read(self) -> bytes:
        """What was typed; b"" when stdin has ended."""

    async def size(self) -> Size | None:
        """The next size of the terminal; None when there will be no more."""

    async def write(self, stream: int, data: bytes) -> None:
        """To STDOUT or STDERR; waits for the client. Raises ConnectionError when it is gone."""

    async def finish(self, status: bytes) -> None:
        """Nothing more comes; how it ended, as a Status in JSON."""

    async def gone(self) -> None:
        """Returns when the client has left."""


async def serve(console: Console, start: Callable[[], Awaitable[Process]]) -> None:
    """Start the process and serve the console until either side has ended."""
    try:
        process = await start()
        try:
            status = await _converse(console, process)
        finally:
            await process.close()
    except (RuntimeFailure, TimeoutError) as exc:
        status = failure(str(exc) or "the container runtime does not answer")
    if status:
        try:
            await console.finish(status)
        except OSError:
            return


async def _converse(console: Console, process: Process) -> bytes:
    """The Status at the end; b"" when the client left."""
    printing = asyncio.ensure_future(_print(console, process))
    others = [asyncio.ensure_future(work) for work in (_type(console, process), _resize(console, process))]
    leaving = asyncio.ensure_future(console.gone())
    try:
        await asyncio.wait([printing, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not printing.done() or isinstance(printing.exception(), OSError):
            return b""
        printing.result()
        return exited(await process.exit_code())
    finally:
        for task in (printing, leaving, *others):
            task.cancel()
        await asyncio.gather(printing, leaving, *others, return_exceptions=True)


async def _print(console: Console, process: Process) -> None:
    async with aclosing(process.output()) as output:
        async for stream, data in output:
            await console.write(stream, data)


async def _type(console: Console, process: Process) -> None:
    try:
        while data := await console.read():
            await process.write(data)
        await process.end_input()
    except (OSError, RuntimeFailure):
        return  # it does not read any more: its output says how it ended


async def _resize(console: Console, process: Process) -> None:
    while size := await console.size():
        try:
            await process.resize(*size)
        except RuntimeFailure:
            continue  # too early, or too late


def exited(code: int) -> bytes:
    """The Status of a command that ended by itself; kubectl takes its own exit code from it."""
    if code == 0:
        return msgspec.json.encode({"metadata": {}, "status": "Success"})
    return msgspec.json.encode(
        {
            "metadata": {},
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    )


def failure(message: str) -> bytes:
    """The Status of a command that could not be run."""
    status = {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}
    return msgspec.json.encode(status)
