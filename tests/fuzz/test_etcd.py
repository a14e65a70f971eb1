"""The same on a real etcd, less of it: what is refused leaves every key of etcd as it was."""

import shutil
from collections.abc import Iterator

import pytest

from labkit.api.kinds import KINDS
from tests.fuzz.campaigns import explore, of_kind
from tests.fuzz.conftest import COUNTS, SEED
from tests.fuzz.probe import Probe
from tests.fuzz.world import world
from tests.node.real_etcd import Authority, etcd_server

pytestmark = pytest.mark.skipif(not shutil.which("etcd"), reason="needs etcd: apt-get install etcd-server")


@pytest.fixture
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    folder = tmp_path_factory.mktemp("etcd")
    (folder / "etcd-ca").mkdir()
    with etcd_server(folder, Authority(folder / "etcd-ca")) as etcd, world(folder, etcd) as found:
        yield Probe(found, COUNTS)


def test_on_etcd(probe: Probe) -> None:
    before = dict(COUNTS.faults)
    for resource in ("pods", "services", "namespaces", "resourcequotas"):
        for campaign in of_kind(probe, KINDS[resource]):
            explore(probe, campaign._replace(name=f"{campaign.name} (etcd)"), 8, SEED)
    assert before == COUNTS.faults, COUNTS.report()
    assert probe.world.stop() == 0
    assert not probe.world.complaints()
