"""A network between two processes that can be cut: a relay on loopback, for what has no network of its own.

kube-apiserver --> [Link] --> etcd        cut(both ways, or one): bytes are held back, as TCP waits in a partition
                                          heal(): they go on;  reset(): the connections end, what was held is lost
"""

import asyncio
import contextlib

CHUNK = 65536


class Link:
    """`port` is where the one side connects; `async with` starts and ends it."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._there, self._back = asyncio.Event(), asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self.heal()

    async def __aenter__(self) -> "Link":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset()
        await asyncio.sleep(0.05)

    def cut(self, *, there: bool = True, back: bool = True) -> None:
        if there:
            self._there.clear()
        if back:
            self._back.clear()

    def heal(self) -> None:
        self._there.set()
        self._back.set()

    def reset(self) -> None:
        """What was held back is lost with its connections."""
        for writer in self._open:
            writer.transport.abort()
        self.heal()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.target)
            both = {writer, other_writer}
            self._open |= both
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(reader, other_writer, self._there))
                    group.create_task(self._copy(other_reader, writer, self._back))
            finally:
                self._open -= both
        writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await passes.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
