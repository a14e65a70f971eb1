"""Vagrant's life cycle with a stand-in for `vagrant` and `docker` on PATH; the real ones are e2e's."""

import json
from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import boot, containers, vagrant
from labkit.provision.errors import CommandFailed, TimedOut

VAGRANT = """#!/bin/sh
echo "$VAGRANT_DEFAULT_PROVIDER $LABKIT_IMAGE $*" >>"$FAKE/asked"
case "$1" in
status)
  echo "a warning that no parser expects" >&2
  for name in master agent1 agent2; do
    echo "1424098924,$name,provider-name,libvirt"
    echo "1424098924,$name,state,shutoff"
  done ;;
up)
  echo "bringing machines up"
  [ -e "$FAKE/broken" ] && { echo "the reason of it all" >&2; exit 1; }
  [ -e "$FAKE/stuck" ] && sleep 60
  : ;;
esac
"""
DOCKER = """#!/bin/sh
case "$1" in
ps) cat "$FAKE/containers" 2>/dev/null ;;
image) echo some-id ;;
rm) echo "$*" >>"$FAKE/removed" ;;
update) echo "$*" >>"$FAKE/updated" ;;
inspect)
  separator='['
  for _ in "$@"; do [ "$_" = inspect ] || { echo "$separator"; cat "$FAKE/described"; separator=','; }; done
  echo ']' ;;
esac
exit 0
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    for name, script in (("vagrant", VAGRANT), ("docker", DOCKER)):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(tmp_path))
    bindings = {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "22042"}], "80/tcp": None}
    (tmp_path / "described").write_text(json.dumps({"HostConfig": {"PortBindings": bindings}}))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def cluster(fake: Path) -> Cluster:
    return clusters.init("lab")


def known(fake: Path, **states: str) -> None:
    """Containers that docker knows: machine -> docker's word for its state."""
    (fake / "containers").write_text("".join(f"{name} id-of-{name} {state}\n" for name, state in states.items()))


def asked(fake: Path) -> list[str]:
    path = fake / "asked"
    return path.read_text().splitlines() if path.exists() else []


def test_states_are_dockers_in_our_words(fake: Path, cluster: Cluster) -> None:
    known(fake, master="running", agent1="exited")
    assert vagrant.Vagrant(cluster).status() == {"master": "running", "agent1": "stopped", "agent2": "not_created"}
    assert asked(fake) == []


def test_states_of_virtual_machines_are_vagrants(fake: Path, cluster: Cluster) -> None:
    cluster.provider = "libvirt"
    assert set(vagrant.Vagrant(cluster).status().values()) == {"poweroff"}


def test_up_with_all_running_does_not_start_vagrant(fake: Path, cluster: Cluster) -> None:
    known(fake, master="running", agent1="running", agent2="running")
    assert not vagrant.Vagrant(cluster).up()
    assert asked(fake) == []


def test_up_names_the_one_machine_that_is_down_and_tells_vagrant_its_container(fake: Path, cluster: Cluster) -> None:
    known(fake, master="running", agent1="exited", agent2="running")
    lines: list[str] = []
    assert vagrant.Vagrant(cluster).up(on_line=lines.append)
    assert [line.split(" ", 2)[2] for line in asked(fake)] == ["up agent1"]
    assert lines == ["bringing machines up"]
    assert (cluster.state / "vagrant/machines/agent1/docker/id").read_text() == "id-of-agent1"


def test_a_container_that_is_gone_is_forgotten(fake: Path, cluster: Cluster) -> None:
    identity = cluster.state / "vagrant/machines/agent1/docker/id"
    identity.parent.mkdir(parents=True)
    identity.write_text("gone")
    known(fake, master="running", agent2="running")
    vagrant.Vagrant(cluster).up()
    assert not identity.exists()
    assert len(asked(fake)) == 1


def test_half_made_containers_are_not_taken_for_machines(fake: Path, cluster: Cluster) -> None:
    known(fake, master="running", agent1="created", agent2="running")
    assert vagrant.Vagrant(cluster).status()["agent1"] == "half_made"
    assert "agent1" not in containers.ids(cluster)
    assert vagrant.Vagrant(cluster).up()


def test_machines_that_the_cluster_no_longer_has_are_removed(fake: Path, cluster: Cluster) -> None:
    known(fake, master="running", agent1="running", agent2="running", agent3="running")
    lines: list[str] = []
    assert vagrant.Vagrant(cluster).up(on_line=lines.append)
    assert (fake / "removed").read_text() == "rm --force --volumes id-of-agent3\n"
    assert lines == ["removing agent3, which the cluster no longer has"]


def test_a_failure_has_vagrants_own_reason(fake: Path, cluster: Cluster) -> None:
    (fake / "broken").touch()
    with pytest.raises(CommandFailed, match="the reason of it all") as caught:
        vagrant.Vagrant(cluster).up()
    assert caught.value.machine == "host"
    assert caught.value.exit_code == 3


def test_vagrant_that_never_ends_is_ended(fake: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake / "stuck").touch()
    monkeypatch.setitem(vagrant.SECONDS, "docker", 0.5)
    with pytest.raises(TimedOut, match="vagrant up"):
        vagrant.Vagrant(cluster).up()


def test_endpoints_are_known_without_asking(fake: Path, cluster: Cluster) -> None:
    with pytest.raises(CommandFailed, match="it was never up: `labkit up --cluster lab`"):
        vagrant.endpoint(cluster, cluster.master)
    ports = boot.prepare(cluster)
    assert vagrant.endpoint(cluster, cluster.machine("agent2")) == ("127.0.0.1", ports.ssh["agent2"])
    assert vagrant.apiserver_endpoint(cluster) == ("127.0.0.1", ports.apiserver)
    cluster.provider = "virtualbox"
    assert vagrant.endpoint(cluster, cluster.machine("agent2")) == ("10.245.1.13", 22)
    assert vagrant.apiserver_endpoint(cluster) == ("10.245.1.11", 6443)
    assert asked(fake) == []


def test_lost_ports_are_those_of_the_containers(fake: Path, cluster: Cluster) -> None:
    known(fake, master="running", agent1="running", agent2="running")
    vagrant.Vagrant(cluster).up()
    assert boot.ports(cluster).ssh == {"master": 22042, "agent1": 22042, "agent2": 22042}


def test_a_machine_gets_another_limit_of_memory_while_it_runs(fake: Path, cluster: Cluster) -> None:
    known(fake, master="running", agent1="running", agent2="running")
    described = json.loads((fake / "described").read_text())
    described["HostConfig"]["Memory"] = 1024 << 20  # an agent's; the master has 2048
    (fake / "described").write_text(json.dumps(described))
    assert [machine.memory_mb for machine in cluster.machines] == [2048, 1024, 1024]
    told: list[str] = []
    assert vagrant.Vagrant(cluster).up(on_line=told.append) is True
    assert (fake / "updated").read_text() == "update --memory 2048m --memory-swap 4096m lab-master\n"
    assert told == ["master may use 2048 MB of memory from now on"]


def test_destroy_leaves_the_cluster_but_nothing_of_its_machines(fake: Path, cluster: Cluster) -> None:
    boot.prepare(cluster)
    known(fake, master="running")
    vagrant.Vagrant(cluster).destroy()
    assert {path.name for path in cluster.state.iterdir()} == {"cluster.json", "ssh"}
    assert (fake / "removed").read_text() == "rm --force --volumes id-of-master\n"
