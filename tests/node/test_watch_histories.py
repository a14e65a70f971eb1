"""Watches of random histories on a real etcd: what a server has not seen itself it reads from there."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from labkit.storage.etcd import Etcd
from tests.node.real_etcd import EtcdServer, etcd_server
from tests.node.test_storage_contract import closed
from tests.watch_histories import OPS, Op, play


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with etcd_server(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@given(ops=OPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_event_is_lost_and_none_is_told_twice(server: EtcdServer, ops: list[Op]) -> None:
    asyncio.run(_play(server, ops))


async def _play(server: EtcdServer, ops: list[Op]) -> None:
    storage = Etcd(server.address)
    await storage.commit({}, {}, [item.key for item in (await storage.list("/registry/")).items])
    try:
        await play(storage, ops)
    finally:
        await closed(storage)
