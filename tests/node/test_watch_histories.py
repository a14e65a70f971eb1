"""Watches of random histories on a real etcd: what a server has not seen itself it reads from there."""

import asyncio
import io
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from labkit.api.kinds import KINDS
from labkit.storage.cache import Cache
from labkit.storage.entry import Codec
from labkit.storage.etcd import Etcd
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.node.real_etcd import EtcdServer, etcd_server
from tests.watch_histories import OPS, Op, play


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with etcd_server(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@given(ops=OPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_event_is_lost_and_none_is_told_twice(server: EtcdServer, ops: list[Op]) -> None:
    asyncio.run(_play(server, ops))


async def test_a_deletion_that_was_compacted_while_the_cache_did_not_look(server: EtcdServer) -> None:
    """etcd tells nothing of it to a watch from that very revision on: the cache must read everything anew."""
    storage, log = Etcd(server.address), io.StringIO()
    key, pod = "/registry/pods/default/gone", b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"gone"}}'
    await storage.commit({}, {key: pod})
    cache = Cache(storage, [Codec(kind) for kind in KINDS.values()], Tracer("t", log))
    await cache.load()
    shelf = cache.shelf("/registry/pods")
    assert "default/gone" in shelf.entries
    deleted = await storage.commit({}, {}, [key])
    await storage.commit({}, {"/registry/pods/default/later": pod.replace(b"gone", b"later")})
    await storage.compact(deleted)
    task = asyncio.create_task(cache.run())
    await eventually(lambda: "default/later" in shelf.entries, 5)
    assert "default/gone" not in shelf.entries
    assert "compacted under the watch" in log.getvalue()
    task.cancel()
    await asyncio.wait([task])
    await storage.close()


async def _play(server: EtcdServer, ops: list[Op]) -> None:
    storage = Etcd(server.address)
    await storage.commit({}, {}, [item.key for item in (await storage.list("/registry/")).items])
    try:
        await play(storage, ops)
    finally:
        await storage.close()
