"""A full disk is a small one laid over the real one."""

import subprocess
from pathlib import Path

import pytest

from labkit.cluster import Cluster, init
from labkit.provision.faults import disk
from labkit.provision.faults.target import Unclear


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return init("lab", agents=2)


def test_only_the_small_file_system_is_filled(cluster: Cluster) -> None:
    texts = [command.text for command in disk.full(cluster, cluster.machine("agent1"), 4).make]
    assert "mount -t tmpfs -o size=16m labkit-fault-4 /run/labkit-disk-4" in texts
    assert texts[-1].startswith("dd if=/dev/zero of=/run/labkit-disk-4/filling ")
    assert all("/run/labkit-disk-4" in text for text in texts[1:])


def test_nothing_is_unmounted_that_is_not_ours(cluster: Cluster) -> None:
    """After a reboot, and the second time: no error, and no umount of what else may lie there."""
    stub = 'umount() { echo "umounted $*"; return 1; }; rmdir() { return 1; }; '
    for command in disk.full(cluster, cluster.machine("agent1"), 4).undo:
        done = subprocess.run(["bash", "-c", stub + command.text], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert disk.VOLUMES not in done.stdout


def test_a_machine_without_kubelet(cluster: Cluster) -> None:
    with pytest.raises(Unclear, match="take one of agent1, agent2"):
        disk.full(cluster, cluster.master, 1)
