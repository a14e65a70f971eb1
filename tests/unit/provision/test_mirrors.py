"""cluster.json's mirrors, as the programs see them that fetch."""

import os
import sys
from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.provision import image, mirrors, wheels
from labkit.provision.process import run

HERE, THERE = "http://mirror.example/debian", "https://pypi.example/simple"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> clusters.Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    for variable in (mirrors.DEBIAN, mirrors.PYPI):
        monkeypatch.setenv(variable, "")  # so that it is taken away again
        monkeypatch.delenv(variable)
    found = clusters.init("far")
    found.mirrors = clusters.Mirrors(debian=HERE, pypi=THERE)
    clusters.save(found)
    return clusters.load("far")


def test_what_is_fetched_comes_from_the_clusters_mirrors(cluster: clusters.Cluster) -> None:
    mirrors.use(cluster)
    assert image.debian_mirror() == HERE
    assert THERE in run("ask pip", [sys.executable, "-m", "pip", "config", "debug"], timeout=60)


def test_a_variable_of_the_shell_wins(cluster: clusters.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mirrors.DEBIAN, "http://other.example/debian/")
    mirrors.use(cluster)
    assert image.debian_mirror() == "http://other.example/debian"


def test_without_mirrors_nothing_is_said_to_anybody(cluster: clusters.Cluster) -> None:
    cluster.mirrors = clusters.Mirrors()
    mirrors.use(cluster)
    assert mirrors.DEBIAN not in os.environ
    assert mirrors.PYPI not in os.environ


def test_wheels_are_asked_for_there(cluster: clusters.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, at an index that nobody runs: pip says which one it asked."""
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    cluster.mirrors.pypi = "http://127.0.0.1:1/simple"
    mirrors.use(cluster)
    with pytest.raises(wheels.CommandFailed, match=r"127\.0\.0\.1"):
        wheels.fetch(wheels.Target("3.11", "x86_64", (2, 36)))
    assert not list((tmp_path / "wheels").iterdir())
