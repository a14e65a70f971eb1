"""The runtime that runs nothing, but for `kubectl exec`: its commands are processes of this machine.

So kubectl cp meets a real tar and exec a real exit code, without docker; docker's own side of the streams is tested in
tests/node/test_streams.py. Each container has a directory of its own to start in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from pathlib import Path

from labkit.components.kubelet.fake import FakeRuntime, Program
from labkit.components.kubelet.process import STDERR, STDOUT, Process, Wanted
from labkit.components.kubelet.runtime import Connection, ContainerConfig

ECHO_PORT = 7000
WEB_PORT = 8080


def program(config: ContainerConfig) -> Program:
    """What a container does: `cat` echoes, `true` ends, everything else says two lines and runs on."""
    match [*config.command, *config.args]:
        case ["cat"]:
            return Program(echoes=True)
        case ["true"]:
            return Program(output=("it was true",), exit_code=0, seconds=0.3)
    return Program(output=("up", "ready"), echo_port=ECHO_PORT)


class HostProcesses(FakeRuntime):
    """`web_port`: a server on 127.0.0.1 that a pod's port 8080 is forwarded to."""

    def __init__(self, node: str, folder: Path, web_port: int) -> None:
        super().__init__(node, program=program)
        self._folder = folder
        self._web_port = web_port

    async def exec(self, container_id: str, command: list[str], wanted: Wanted) -> Process:
        await super().exec(container_id, ["true"], wanted)  # refuses containers that do not run
        directory = self._folder / container_id[:12]
        directory.mkdir(parents=True, exist_ok=True)
        started = await asyncio.create_subprocess_exec(
            *command, cwd=directory, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={"PATH": os.environ["PATH"]}
        )
        return HostProcess(started, wanted)

    async def port_forward(self, pause_id: str, port: int) -> Connection:
        if port == WEB_PORT:
            return await asyncio.open_connection("127.0.0.1", self._web_port)
        return await super().port_forward(pause_id, port)


class HostProcess:
    """One command."""

    def __init__(self, process: asyncio.subprocess.Process, wanted: Wanted) -> None:
        self._process = process
        self._chunks: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(16)
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = [
            asyncio.create_task(self._read(stream, number))
            for stream, number in ((process.stdout, STDOUT), (process.stderr, STDERR))
        ]
        if not wanted.stdin and process.stdin is not None:
            process.stdin.close()

    async def _read(self, stream: asyncio.StreamReader, number: int) -> None:
        while chunk := await stream.read(65536):
            await self._chunks.put((number, chunk))
        await self._chunks.put((number, b""))

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        ends = 0
        while ends < len(self._reading):
            number, chunk = await self._chunks.get()
            ends += not chunk
            if chunk:
                yield number, chunk

    async def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def end_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def resize(self, width: int, height: int) -> None:
        """There is no terminal."""

    async def exit_code(self) -> int:
        return await self._process.wait()

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._process._transport.close()  # type: ignore[attr-defined]  # its pipes
