"""hosts.json: what is read from it, and what is said of one that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from labkit import cluster as clusters
from labkit.cluster import ClusterError
from labkit.provision.existing import inventory

MASTER = {"address": "192.168.1.20", "roles": ["master"], "user": "teacher"}
AGENT = {"address": "192.168.1.21", "user": "teacher", "port": 2222}


def faults(tmp_path: Path, content: Any) -> list[str]:
    path = tmp_path / "hosts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ClusterError) as refused:
        inventory.read(path)
    assert str(path) in str(refused.value)
    return refused.value.faults


def written(tmp_path: Path, content: dict[str, Any]) -> inventory.Inventory:
    (tmp_path / "hosts.json").write_text(json.dumps(content))
    return inventory.read(tmp_path / "hosts.json")


def test_a_good_one(tmp_path: Path) -> None:
    found = written(tmp_path, {"master": MASTER, "agent1": AGENT})
    assert found["master"].port == 22
    assert found["agent1"].roles == ["agent"]


def test_a_key_is_remembered_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").touch()
    monkeypatch.chdir(tmp_path)
    found = written(tmp_path, {"master": MASTER | {"identityFile": "key"}})
    assert found["master"].identity_file == str(tmp_path / "key")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "master.example"}, "master.address: 'master.example', expected the IPv4 address"),
        ({"address": "127.0.0.1"}, "master.address: '127.0.0.1', expected"),
        ({"port": "22"}, "master.port: Expected `int`, got `str`"),
        ({"port": 0}, "master.port: 0, expected 1 to 65535"),
        ({"roles": ["boss"]}, "master.roles: ['boss'], expected some of master, agent"),
        ({"user": "a b"}, "master.user: 'a b', expected the name of a user"),
        ({"identityFile": "/nowhere/key"}, "master.identityFile: '/nowhere/key', expected a private key's file"),
        ({"hostKey": "AAAA"}, "master.hostKey: 'AAAA', expected a line of the host's /etc/ssh/"),
        ({"adress": "x"}, "master: Object contains unknown field `adress`"),
    ],
)
def test_a_fault_names_entry_field_and_expectation(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    assert any(fault.startswith(said) for fault in faults(tmp_path, {"master": MASTER | change}))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, {"Master": MASTER, "agent1": {"address": "192.168.1.20", "roles": []}})
    assert [fault.split(":")[0] for fault in found] == ["Master", "agent1.roles", "agent1.address"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "expected JSON"), ("[]", "expected an object"), ({"agent1": AGENT}, "expected exactly one host")],
)
def test_no_inventory_at_all(tmp_path: Path, content: Any, said: str) -> None:
    assert said in faults(tmp_path, content)[0]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="cannot be read: No such file"):
        inventory.read(tmp_path / "hosts.json")


@pytest.mark.parametrize(
    ("addresses", "network"),
    [
        (["192.168.1.20"], "192.168.1.16/28"),
        (["192.168.1.20", "192.168.1.21"], "192.168.1.16/28"),
        (["192.168.1.15", "192.168.1.16"], "192.168.1.0/27"),
        (["10.128.0.2", "10.128.3.9"], "10.128.0.0/22"),
    ],
)
def test_the_range_that_covers_all_hosts(addresses: list[str], network: str) -> None:
    assert inventory.covering(addresses) == network


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "state"))
    return tmp_path


def test_the_cluster_has_the_hosts_as_machines_and_keeps_them(home: Path) -> None:
    cluster = clusters.init("class", provider="ssh")
    inventory.adopt(cluster, written(home, {"agent1": AGENT, "master": MASTER}))
    again = clusters.load("class")
    assert [(m.name, m.address, m.pod_subnet) for m in again.machines] == [
        ("master", "192.168.1.20", 2), ("agent1", "192.168.1.21", 1)
    ]  # fmt: skip
    assert inventory.kept(again)["agent1"].port == 2222
    assert (again.state / inventory.KEPT).stat().st_mode & 0o777 == 0o600


def test_a_host_more_gets_the_next_subnet(home: Path) -> None:
    cluster = clusters.init("class", provider="ssh")
    inventory.adopt(cluster, written(home, {"master": MASTER}))
    inventory.adopt(cluster, written(home, {"master": MASTER, "agent1": AGENT}))
    assert [machine.pod_subnet for machine in clusters.load("class").machines] == [1, 2]


def test_a_host_less_and_a_host_moved_are_refused(home: Path) -> None:
    cluster = clusters.init("class", provider="ssh")
    inventory.adopt(cluster, written(home, {"master": MASTER, "agent1": AGENT}))
    with pytest.raises(ClusterError, match="agent1: missing in the inventory"):
        inventory.adopt(cluster, written(home, {"master": MASTER}))
    with pytest.raises(ClusterError, match="agent1: another address than before"):
        inventory.adopt(cluster, written(home, {"master": MASTER, "agent1": AGENT | {"address": "192.168.1.30"}}))


def test_an_inventory_is_for_ssh_only(home: Path) -> None:
    cluster = clusters.init("class")
    with pytest.raises(ClusterError, match="provider: is docker"):
        inventory.adopt(cluster, written(home, {"master": MASTER}))


def test_nothing_kept_is_said(home: Path) -> None:
    with pytest.raises(ClusterError, match="labkit up --provider ssh --inventory"):
        inventory.kept(clusters.init("class", provider="ssh"))
