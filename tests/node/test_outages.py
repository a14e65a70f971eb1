"""What an API server says while its etcd is paused, away or full, and that it needs no restart afterwards."""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path

import msgspec
import pytest

from labkit.api.errors import ApiError, Expired, InsufficientStorage, ServerUnavailable
from labkit.api.types import ConfigMap, ObjectMeta, Service, ServicePort, ServiceSpec
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer, etcd_server

MAPS = "/api/v1/namespaces/default/configmaps"


@contextlib.contextmanager
def running(
    folder: Path, authority: Authority, etcd_flags: tuple[str, ...] = (), flags: tuple[str, ...] = (), servers: int = 1
) -> Iterator[tuple[EtcdServer, list[ApiServer]]]:
    (folder / "etcd-ca").mkdir()
    with contextlib.ExitStack() as stack:
        etcd = stack.enter_context(etcd_server(folder, Authority(folder / "etcd-ca"), etcd_flags))
        yield etcd, [stack.enter_context(api_server(folder, etcd, authority, flags=flags)) for _ in range(servers)]


def admin(server: ApiServer) -> Client:
    return Client(server.url, server.context("admin", "system:masters"))


def config_map(name: str, size: int = 1) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"d": "x" * size})


def service(name: str) -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec(ports=[ServicePort(port=1)]))


async def refused_within(seconds: float, *attempts: Awaitable[object]) -> None:
    """All of them, at the same time: 503, and nobody waits longer than this."""

    async def one(attempt: Awaitable[object]) -> None:
        with pytest.raises(ServerUnavailable, match="the store does not answer"):
            await attempt

    started = time.monotonic()
    await asyncio.gather(*(one(attempt) for attempt in attempts))
    assert time.monotonic() - started < seconds


async def test_etcd_paused_then_away(tmp_path: Path, authority: Authority) -> None:
    with running(tmp_path, authority) as (etcd, (server,)):
        async with admin(server) as client:
            await client.create(config_map("kept"))
            # Of a write that was refused because nobody answered nobody knows whether it is done yet: etcd may find it
            # in its socket when it goes on.
            open_fate = await client.create(config_map("open-fate"))
            watch = client.watch(ConfigMap, "default", resource_version=open_fate.metadata.resource_version)
            assert etcd.process
            for disturb, mend, bound in (
                (lambda: etcd.process.send_signal(signal.SIGSTOP), lambda: etcd.process.send_signal(signal.SIGCONT), 7),
                (etcd.stop, etcd.start, 2),
            ):
                await asyncio.to_thread(disturb)
                await refused_within(
                    bound, client.get(ConfigMap, "kept", "default"), client.list(ConfigMap),
                    client.update(open_fate), client.create(service("s")), client.create(config_map("lost")),
                    client.delete(ConfigMap, "open-fate", "default"),
                )  # fmt: skip
                await from_the_cache(client)
                await asyncio.to_thread(mend)
                await eventually(lambda: answers(client), 15, expect="etcd's answers again")
                after = await client.create(config_map(f"after-{bound}"))
                async with asyncio.timeout(10):
                    while (await anext(watch)).object.metadata.name != after.metadata.name:
                        pass
            await watch.aclose()
        assert "Traceback" not in server.log.read_text()


async def answers(client: Client) -> bool:
    try:
        return (await client.get(ConfigMap, "kept", "default")).metadata.name == "kept"
    except ServerUnavailable:
        return False


async def from_the_cache(client: Client) -> None:
    """Whoever does not insist on the latest is served at once."""
    async with asyncio.timeout(1):
        for path in (MAPS, f"{MAPS}/kept", "/api/v1/namespaces"):
            assert await client.raw("GET", path, params={"resourceVersion": "0"})


async def test_etcd_full(tmp_path: Path, authority: Authority) -> None:
    with running(tmp_path, authority, etcd_flags=("--quota-backend-bytes=4000000",)) as (etcd, (server,)):
        async with admin(server) as client:
            with pytest.raises(InsufficientStorage, match=r"the store is full: .* etcdctl alarm disarm") as caught:
                await fill(client)
            assert (caught.value.status().code, caught.value.status().reason) == (507, "InsufficientStorage")
            assert "NOSPACE" in etcd.ctl("alarm", "list")
            async with asyncio.timeout(5):  # nothing hangs, all can be read, and room can be made
                kept = (await client.list(ConfigMap, "default")).items
                kept[0].data = {"changed": "yes"}
                with pytest.raises(InsufficientStorage):
                    await client.update(kept[0])
                with pytest.raises(InsufficientStorage):
                    await client.create(service("s"))
                for found in kept[1:]:
                    await client.delete(ConfigMap, found.metadata.name, "default")
            revision = re.search(r'"revision":(\d+)', etcd.ctl("endpoint", "status", "-w", "json"))
            assert revision
            for command in (("compact", revision[1]), ("defrag",), ("alarm", "disarm")):
                await asyncio.to_thread(etcd.ctl, *command)
            assert (await client.create(config_map("again", 200_000))).metadata.uid
            assert (await client.update(kept[0])).metadata.resource_version != kept[0].metadata.resource_version
        assert "Traceback" not in server.log.read_text()


async def fill(client: Client) -> None:
    for n in range(100):
        await client.create(config_map(f"c{n}", 200_000))


async def test_two_servers_compact_the_history(tmp_path: Path, authority: Authority) -> None:
    flags = ("--etcd-compaction-interval=1s", "--apiserver-count=2")
    with running(tmp_path, authority, flags=flags, servers=2) as (_, servers):
        logs = [server.log for server in servers]
        async with admin(servers[0]) as one, admin(servers[1]) as two:
            changed = first = await one.create(config_map("c"))
            await one.create(config_map("d"))
            part = msgspec.json.decode(await one.raw("GET", MAPS, params={"limit": "1"}))["metadata"]
            rest = {"limit": "1", "continue": part["continue"]}
            following = one.watch(ConfigMap, "default", resource_version=part["resourceVersion"])

            async def forgotten() -> ApiError | None:
                nonlocal changed
                changed.data = {"n": changed.metadata.resource_version}
                changed = await two.update(changed)
                assert (await anext(following)).object == changed  # who follows does not notice
                return await refusal(two, rest)

            gone = await eventually(forgotten, 15, every=0.05, expect="the end of the first part's revision")
            assert (type(gone), gone.reason) == (Expired, "Expired")
            await following.aclose()
        await eventually(lambda: all("was compacted" in log.read_text() for log in logs), 10, expect="both at work")
        await asyncio.to_thread(servers[1].stop, signal.SIGKILL)
        await asyncio.to_thread(servers[1].start)
        async with admin(servers[1]) as two:
            gone = await refusal(two, {"watch": "1", "resourceVersion": first.metadata.resource_version})
            assert isinstance(gone, Expired)
            assert gone.message.startswith(f"too old resource version: {first.metadata.resource_version} (")
            changed.data = {"n": "the last"}
            changed = await two.update(changed)
            watch = two.watch(ConfigMap, "default", resource_version=changed.metadata.resource_version)
            await two.delete(ConfigMap, "c", "default")
            assert (await anext(watch)).type == "DELETED"
            await watch.aclose()
        for log in logs:
            assert "could not be compacted" not in log.read_text()
            assert '"level":"error"' not in log.read_text()


async def refusal(client: Client, params: dict[str, str]) -> ApiError | None:
    try:
        await client.raw("GET", MAPS, params=params)
    except ApiError as error:
        return error
    return None
