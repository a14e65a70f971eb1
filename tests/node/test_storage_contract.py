"""The storage contract on a real etcd over TLS with client certificates, and what only a real one can show."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from labkit.storage.etcd import Etcd, Tls
from labkit.storage.protocol import StorageUnavailable
from tests.node.real_etcd import Authority, EtcdServer, etcd_server
from tests.storage_contract import StorageContract, create


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("etcd-ca"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[EtcdServer]:
    with etcd_server(tmp_path_factory.mktemp("etcd"), authority) as server:
        yield server


def tls(authority: Authority) -> Tls:
    certificate, key = authority.issue("kube-apiserver")
    return Tls(authority.ca, certificate, key)


@pytest.fixture
async def storage(server: EtcdServer, authority: Authority) -> AsyncIterator[Etcd]:
    etcd = Etcd(server.address, tls(authority))
    keys = [item.key for item in (await etcd.list("/registry/")).items]
    for start in range(0, len(keys), 100):  # etcd takes at most 128 operations in a transaction
        await etcd.commit({}, {}, keys[start : start + 100])
    yield etcd
    await etcd.close()


class TestEtcd(StorageContract):
    async def test_without_a_client_certificate_etcd_refuses(self, server: EtcdServer, authority: Authority) -> None:
        plain = Etcd(server.address)
        with pytest.raises(StorageUnavailable):
            await plain.get("/registry/a")
        await plain.close()

    async def test_a_certificate_of_another_ca_is_refused(self, server: EtcdServer, authority: Authority,
                                                          tmp_path: Path) -> None:  # fmt: skip
        other = Authority(tmp_path)
        certificate, key = other.issue("kube-apiserver")
        stranger = Etcd(server.address, Tls(authority.ca, certificate, key))
        with pytest.raises(StorageUnavailable):
            await stranger.get("/registry/a")
        await stranger.close()


async def test_etcd_away_is_unavailable_and_back_again_heals(tmp_path: Path) -> None:
    with etcd_server(tmp_path) as server:
        etcd = Etcd(server.address)
        revision = await create(etcd, "/registry/a", b"kept")
        async with contextlib.aclosing(etcd.watch("/registry/", revision + 1)) as watch:
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.stop)
            with pytest.raises(StorageUnavailable):
                await asyncio.wait_for(waiting, 10)
        with pytest.raises(StorageUnavailable):
            await etcd.get("/registry/a")
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(StorageUnavailable):
                    found = await etcd.get("/registry/a")
                    break
                await asyncio.sleep(0.1)
        assert found is not None
        assert (found.value, found.revision) == (b"kept", revision)
        await etcd.close()
