"""Two labkits on one cluster: the second is told who is at work; a lock never outlives its holder."""

from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision.errors import CommandFailed
from labkit.provision.lock import only_one


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return clusters.init("lab")


def test_the_second_is_refused_and_told_who_is_at_work(cluster: Cluster) -> None:
    refused = pytest.raises(CommandFailed, match=r"another labkit \(process [0-9]+\) is at work")
    with only_one(cluster), refused, only_one(cluster):
        pass


def test_the_next_gets_in_also_when_the_first_failed(cluster: Cluster) -> None:
    with pytest.raises(RuntimeError), only_one(cluster):
        raise RuntimeError
    with only_one(cluster):
        assert (cluster.state / "lock").read_text()
