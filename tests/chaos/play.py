"""Two API servers on one etcd; both are killed, paused and cut off while a crowd works; then the judge speaks.

crowd --> kube-apiserver 1 --[link 1]--+
crowd --> kube-apiserver 2 --[link 2]--+--> etcd
"""

import asyncio
import contextlib
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from labkit.api.types import ConfigMap, ObjectMeta
from labkit.client.rest import Client
from labkit.storage.etcd import Etcd, Tls
from labkit.storage.protocol import Transition
from labkit.testing.eventually import eventually
from tests.chaos.crowd import Crowd, Follower
from tests.chaos.history import Record, judge_all, judge_watch
from tests.chaos.link import Link
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer, etcd_server

OBJECTS, WORKERS = 3, 6
HELD = 1.2  # seconds that a pause or a partition lasts


class World(NamedTuple):
    etcd: EtcdServer
    servers: list[ApiServer]
    links: list[Link]


async def killed(victim: ApiServer | EtcdServer) -> None:
    await asyncio.to_thread(victim.stop, signal.SIGKILL)
    await asyncio.to_thread(victim.start)


async def paused(victim: ApiServer | EtcdServer) -> None:
    assert victim.process
    victim.process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(HELD)
    finally:
        victim.process.send_signal(signal.SIGCONT)


async def cut_off(link: Link, *, there: bool, back: bool, lost: bool) -> None:
    """lost: the connections end with the partition, and nobody knows what etcd did with the last requests."""
    link.cut(there=there, back=back)
    await asyncio.sleep(HELD)
    if lost:
        link.reset()
    link.heal()


FAULTS: dict[str, Callable[[World], Awaitable[None]]] = {
    "API server 1 killed": lambda world: killed(world.servers[0]),
    "etcd killed": lambda world: killed(world.etcd),
    "API server 2 paused": lambda world: paused(world.servers[1]),
    "etcd paused": lambda world: paused(world.etcd),
    "API server 1 cut off from etcd": lambda world: cut_off(world.links[0], there=True, back=True, lost=False),
    "etcd's answers to API server 2 lost": lambda world: cut_off(world.links[1], there=False, back=True, lost=True),
    "API server 1's requests to etcd lost": lambda world: cut_off(world.links[0], there=True, back=False, lost=True),
    "both cut off from etcd": lambda world: _both_cut_off(world),
}


async def _both_cut_off(world: World) -> None:
    await asyncio.gather(*(cut_off(link, there=True, back=True, lost=True) for link in world.links))


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    """etcd, two API servers, and the links between them."""
    with tempfile.TemporaryDirectory(prefix="labkit-chaos-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        for ca in ("ca", "etcd-ca"):
            (folder / ca).mkdir()
        etcd = stack.enter_context(etcd_server(folder, Authority(folder / "etcd-ca")))
        authority = Authority(folder / "ca")
        async with Link(etcd.port) as one, Link(etcd.port) as two:
            flags = ("--apiserver-count=2",)
            servers = [
                api_server(folder, replace(etcd, port=link.port, process=None), authority, flags=flags)
                for link in (one, two)
            ]  # in a thread: each waits for its start, which needs the link, which needs this loop
            yield World(etcd, [await asyncio.to_thread(stack.enter_context, each) for each in servers], [one, two])


async def play(where: World, faults: list[str], number: int = 0) -> Counter[str]:
    """One round with these faults; what came of all writes. AssertionError when something was wrong."""
    names = [f"r{number}-{letter}" for letter in "abc"[:OBJECTS]]
    async with Client(where.servers[0].url, where.servers[0].context("admin", "system:masters")) as client:
        start = int((await client.list(ConfigMap, "default")).resource_version)
        for name in names:
            meta = ObjectMeta(name=name, namespace="default")
            await client.create(ConfigMap(metadata=meta, data={"token": f"first of {name}"}))
        crowd = Crowd(where.servers, names, prefix=f"r{number}-race")
        followers = [Follower(server, start) for server in where.servers]
        watching = [asyncio.create_task(follower.run()) for follower in followers]
        try:
            await _break(where, crowd, faults)
            steps = await record(where.etcd, start)
            revisions = [step.revision for step in steps]
            for follower in followers:
                with contextlib.suppress(AssertionError):  # said better by the judge
                    await eventually(lambda one=follower: one.versions[-1:] == revisions[-1:], 20)  # type: ignore[misc]
                judge_watch(revisions, follower.versions)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
    judge_all(records_of(steps), crowd.writes, crowd.reads)
    for server in where.servers:
        assert "Traceback" not in server.log.read_text()
    words = {1: "acknowledged", 0: "refused", -1: "unknown"}
    return Counter(words[min(write.version, 1)] for write in crowd.writes)


async def _break(where: World, crowd: Crowd, faults: list[str]) -> None:
    """Everybody works, and one fault follows the other."""
    workers = [asyncio.create_task(crowd.work(number)) for number in range(WORKERS)]
    try:
        for fault in faults:
            await asyncio.sleep(random.uniform(0.2, 0.6))
            await FAULTS[fault](where)
        await asyncio.sleep(0.5)
    finally:
        crowd.stop()
        await asyncio.gather(*workers)


async def record(etcd: EtcdServer, start: int) -> list[Transition]:
    """What etcd has to say of the config maps after this revision."""
    assert etcd.authority
    certificate, key = etcd.authority.issue("kube-apiserver")
    storage = Etcd(etcd.address, Tls(etcd.authority.ca, certificate, key))
    steps: list[Transition] = []
    try:
        newest = max(stored.revision for stored in (await storage.list("/registry/configmaps/")).items)
        async with contextlib.aclosing(storage.replay("/registry/configmaps/", start)) as replay:
            while not steps or steps[-1].revision < newest:
                steps += await anext(replay)
    finally:
        await storage.close()
    return steps


def records_of(steps: list[Transition]) -> dict[str, Record]:
    found: dict[str, list[tuple[int, str]]] = {}
    for step in steps:
        if step.after:
            name = step.after.key.rsplit("/", 1)[1]
            found.setdefault(name, []).append((step.revision, json.loads(step.after.value)["data"]["token"]))
    return dict(found)


def order(seconds: float) -> Iterator[list[str]]:
    """Rounds of all faults in another order each, for so long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        faults = list(FAULTS)
        random.shuffle(faults)
        yield faults
