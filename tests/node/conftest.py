"""An etcd behind TLS and the authorities of its clients, anew for a test or shared by those of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.real_etcd import Authority, EtcdServer, etcd_server


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    """With a CA of its own, as kube-apiserver's etcd has it."""
    (tmp_path / "etcd-ca").mkdir()
    with etcd_server(tmp_path, Authority(tmp_path / "etcd-ca")) as etcd:
        yield etcd


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The cluster's CA."""
    (tmp_path / "ca").mkdir()
    return Authority(tmp_path / "ca")


@pytest.fixture(scope="module")
def shared_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    folder = tmp_path_factory.mktemp("etcd")
    (folder / "etcd-ca").mkdir()
    with etcd_server(folder, Authority(folder / "etcd-ca")) as etcd:
        yield etcd


@pytest.fixture(scope="module")
def shared_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))
