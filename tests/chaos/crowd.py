"""Who works while things break: writers and readers of a few objects, and a watcher of each server."""

import asyncio
import contextlib
import itertools
import random
import time

from labkit.api.errors import AlreadyExists, ApiError, Conflict
from labkit.api.types import ConfigMap, ObjectMeta
from labkit.client.rest import Client
from tests.chaos.history import Read, Write
from tests.node.apiserver import ApiServer


class Crowd:
    """Each of its workers has a server of its own, and notes what it was told."""

    def __init__(self, servers: list[ApiServer], names: list[str], prefix: str = "") -> None:
        """names: of the objects that are there. prefix: of those that are created in races, none without it."""
        self.servers = servers
        self.names = names
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self._prefix = prefix
        self._tokens = itertools.count()
        self._over = False

    async def work(self, number: int) -> None:
        server = self.servers[number % len(self.servers)]
        async with Client(server.url, server.context("admin", "system:masters")) as client:
            while not self._over:
                with contextlib.suppress(ApiError):  # the server is not there
                    await self._turn(client)
                    if self._prefix and random.random() < 0.1:
                        await self._create(client)
                await asyncio.sleep(0.002)

    def stop(self) -> None:
        self._over = True

    async def _turn(self, client: Client) -> None:
        """Read one object, and replace this very version of it."""
        name = random.choice(self.names)
        began = time.monotonic()
        found = await client.get(ConfigMap, name, "default")
        base = int(found.metadata.resource_version)
        self.reads.append(Read(base, began, time.monotonic(), name))
        found.data = {"token": (token := str(next(self._tokens)))}
        began, version = time.monotonic(), -1
        try:
            version = int((await client.update(found)).metadata.resource_version)
        except Conflict:
            version = 0
        finally:
            self.writes.append(Write(base, token, version, began, time.monotonic(), name))

    async def _create(self, client: Client) -> None:
        """A name that others are creating at the same moment."""
        name = f"{self._prefix}-{int(time.monotonic() * 20)}"
        token = str(next(self._tokens))
        meta = ObjectMeta(name=name, namespace="default")
        began, version = time.monotonic(), -1
        try:
            version = int(
                (await client.create(ConfigMap(metadata=meta, data={"token": token}))).metadata.resource_version
            )
        except AlreadyExists:
            version = 0
        finally:
            self.writes.append(Write(0, token, version, began, time.monotonic(), name))


class Follower:
    """A watch through one server that goes on from the last version it saw."""

    def __init__(self, server: ApiServer, start: int) -> None:
        self._server, self._last = server, start
        self.versions: list[int] = []
        self.lost = 0

    async def run(self) -> None:
        async with Client(self._server.url, self._server.context("admin", "system:masters")) as client:
            while True:
                with contextlib.suppress(ApiError):
                    async with contextlib.aclosing(client.watch(ConfigMap, "default", str(self._last))) as watch:
                        async for event in watch:
                            if event.type != "BOOKMARK":
                                self._last = int(event.object.metadata.resource_version)
                                self.versions.append(self._last)
                self.lost += 1
                await asyncio.sleep(0.05)
