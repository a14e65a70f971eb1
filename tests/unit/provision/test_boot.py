"""What machines are told before they boot."""

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import boot


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return clusters.init("lab")


def test_node_conf_is_what_three_readers_agree_on(cluster: Cluster) -> None:
    assert boot.node_conf(cluster, cluster.machine("agent1")) == (
        "LAB_ADDRESS=10.245.1.12\n"
        "LAB_DNS=10.0.0.10\n"
        "LAB_GATEWAY=10.245.1.253\n"
        "LAB_HOST_ADDRESS=10.245.1.1\n"
        "LAB_MACHINE_NETWORK=10.245.1.0/24\n"
        "LAB_NAME=agent1\n"
        "LAB_PEERS=master=10.245.1.11=10.244.1.0/24,agent1=10.245.1.12=10.244.2.0/24,agent2=10.245.1.13=10.244.3.0/24\n"
        "LAB_POD_CIDR=10.244.2.0/24\n"
        "LAB_POD_NETWORK=10.244.0.0/16\n"
        "LAB_REGISTRY=10.245.1.11:5000\n"
        "LAB_ROLES=agent\n"
        "LAB_SERVICE_NETWORK=10.0.0.0/16\n"
    )
    cluster.registry.mirror = "http://host.lab:5001"
    assert "LAB_MIRROR=http://host.lab:5001\n" in boot.node_conf(cluster, cluster.machine("agent1"))
    cluster.master.roles.append("agent")
    assert "LAB_ROLES=master,agent\n" in boot.node_conf(cluster, cluster.master)


@pytest.mark.parametrize("mirror", ["", "http://host.lab:5001"])
def test_docker_is_told_of_the_mirrors(mirror: str, tmp_path: Path) -> None:
    """The part of lab-net that writes docker's daemon.json, as a machine's shell reads it."""
    script = (Path(boot.__file__).parent.parent / "templates/machine/files/usr/local/sbin/lab-net").read_text()
    begin, end = script.index("mirrors="), script.index("\nJSON\n")
    part = "set -eu\n" + script[begin:end].replace("/etc/docker", str(tmp_path)) + "\nJSON\n"
    known = {"LAB_REGISTRY": "10.245.1.11:5000", "bridge": "10.244.2.1/24"} | ({"LAB_MIRROR": mirror} if mirror else {})
    subprocess.run(["sh", "-c", part], env=known | {"PATH": os.environ["PATH"]}, check=True, timeout=20)
    told = json.loads((tmp_path / "daemon.json").read_text())
    assert told["registry-mirrors"] == ["https://10.245.1.11:5000", *([mirror] if mirror else [])]


def test_prepare_writes_private_files_and_a_second_one_nothing(cluster: Cluster) -> None:
    first = boot.prepare(cluster)
    files = [path for path in cluster.state.rglob("*") if path.is_file()]
    assert {path.relative_to(cluster.state).as_posix() for path in files} == {
        "cluster.json", "ports.json", "ssh/id_ed25519", "ssh/id_ed25519.pub",
        "boot/master.conf", "boot/agent1.conf", "boot/agent2.conf",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    assert boot.prepare(cluster) == first
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before


def test_the_key_is_ed25519_and_its_own_for_each_cluster(cluster: Cluster) -> None:
    boot.ensure_key(cluster)
    private = cluster.state / "ssh" / "id_ed25519"
    load_ssh_private_key(private.read_bytes(), None)
    assert private.with_suffix(".pub").read_text().startswith("ssh-ed25519 ")
    other = clusters.init("other")
    boot.ensure_key(other)
    assert (other.state / "ssh" / "id_ed25519").read_bytes() != private.read_bytes()


def test_ports_stay_as_agents_come_and_go(cluster: Cluster) -> None:
    first = boot.prepare(cluster)
    assert len({*first.ssh.values(), first.apiserver}) == 4
    more = boot.prepare(clusters.init("lab", 3))
    assert {name: more.ssh[name] for name in first.ssh} == first.ssh
    assert more.apiserver == first.apiserver
    assert set(boot.prepare(clusters.init("lab", 1)).ssh) == {"master", "agent1"}


def test_ports_of_another_cluster_are_not_given_again_while_it_is_down(cluster: Cluster) -> None:
    taken = boot.prepare(cluster)
    other = boot.prepare(clusters.init("other"))
    assert not {*taken.ssh.values(), taken.apiserver} & {*other.ssh.values(), other.apiserver}


def test_a_port_that_was_asked_for_is_the_apiservers(cluster: Cluster) -> None:
    cluster.apiserver.host_port = 26443
    assert boot.prepare(cluster).apiserver == 26443


def test_lost_ports_are_read_off_the_containers(cluster: Cluster) -> None:
    boot.adopt_ports(cluster, {"master": {22: 22101, 6443: 22100}, "agent1": {22: 22102}})
    prepared = boot.prepare(cluster)
    assert (prepared.ssh["master"], prepared.ssh["agent1"], prepared.apiserver) == (22101, 22102, 22100)
    boot.adopt_ports(cluster, {"master": {22: 9}})  # not lost: nothing to adopt
    assert boot.ports(cluster) == prepared


def test_a_damaged_file_of_ports_names_itself(cluster: Cluster) -> None:
    (cluster.state / "ports.json").write_text("{")
    with pytest.raises(ValueError, match=r"ports\.json: .* remove the file"):
        boot.ports(cluster)


def test_a_busy_port_is_not_free() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not boot.is_free(listener.getsockname()[1])
    assert msgspec.json.decode(b"{}", type=boot.Ports) == boot.Ports()
