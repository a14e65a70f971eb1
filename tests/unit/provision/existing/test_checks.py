"""What forbids to touch a host: one fact each, and a host on which nothing does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision.existing import checks, inventory
from labkit.provision.existing.checks import HostFacts, Range, problems
from labkit.provision.existing.inventory import Host

IDENTITY = "class 0123"
FINE: dict[str, Any] = {
    "addresses": [Range("lo", "127.0.0.1/8"), Range("eth0", "192.168.1.20/24"), Range("docker0", "10.0.0.1/16")],
    "routes": [Range("eth0", "192.168.1.0/24"), Range("docker0", "10.244.1.0/24")],
    "resolvers": ["127.0.0.53", "192.168.1.1"],
    "ssh_peer": "192.168.1.9",
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return inventory.adopt(
        clusters.init("class", provider="ssh"),
        {"master": Host(address="192.168.1.20", roles=["master"]), "agent1": Host(address="192.168.1.21")},
    )


def said(cluster: Cluster, machine: str = "master", **changed: Any) -> list[str]:
    facts = HostFacts(**(FINE | changed))
    found = problems(cluster, cluster.machine(machine), facts, IDENTITY, "x86_64")
    return [f"{each.what}: {each.mend}" for each in found]


def test_a_host_on_which_nothing_stands_in_the_way(cluster: Cluster) -> None:
    assert said(cluster) == []


@pytest.mark.parametrize(
    ("changed", "what", "mend"),
    [
        ({"distribution": "fedora", "release": "Fedora 40"}, "runs Fedora 40", "Debian or Ubuntu"),
        ({"apt": False}, "runs an unknown system", "apt-get"),
        ({"systemd": False}, "systemd does not run", "booted with systemd"),
        ({"root": False}, "no sudo", "NOPASSWD"),
        ({"python": (3, 10), "release": "Ubuntu 22.04"}, "Python 3.10", "Ubuntu 24.04"),
        ({"arch": "aarch64"}, "processor aarch64", "x86_64"),
        ({"owner": "other 99"}, "another labkit cluster (other)", "labkit destroy --cluster other"),
        ({"memory_mb": 400}, "400 MB of memory", "500 MB for master"),
        ({"disk_mb": 100}, "100 MB of disk", "2048 MB"),
        ({"containers": ["web", "db"]}, "not ours: web, db", "remove them"),
        ({"lived_in": ["/var/lib/etcd"]}, "/var/lib/etcd has something", "no other Kubernetes"),
        ({"behind_router": ["192.168.1.21"]}, "192.168.1.21 through a router", "hosts of one network"),
        ({"addresses": [Range("eth0", "172.16.0.2/24")]}, "no interface with the address 192.168.1.20", "router"),
        (
            {"resolvers": ["10.0.0.53"]},
            "its resolver 10.0.0.53 lies in networks.services 10.0.0.0/16",
            "networks.services",
        ),
        ({"ssh_peer": "10.244.7.7"}, "this computer, as the host sees it lies in networks.pods", "networks.pods"),
        ({"routes": [Range("tun0", "10.0.0.0/8")]}, "route to 10.0.0.0/8 (tun0)", "cluster.json"),
        ({"listeners": {"tcp 0.0.0.0:6443": "k3s"}}, "tcp 0.0.0.0:6443 is taken by k3s", "kube-apiserver"),
        ({"listeners": {"udp 192.168.1.20:53": "named"}}, "53 is taken by named", "kube-dns"),
    ],
)
def test_each_thing_that_stands_in_the_way(cluster: Cluster, changed: dict[str, Any], what: str, mend: str) -> None:
    found = said(cluster, **changed)
    assert any(what in line and mend in line for line in found), found


def test_an_interface_in_the_service_range(cluster: Cluster) -> None:
    found = said(cluster, addresses=[*FINE["addresses"], Range("wg0", "10.0.9.2/24")])
    assert len(found) == 1
    assert "its address 10.0.9.2/24 (wg0) lies in networks.services 10.0.0.0/16" in found[0]
    assert "dns.address" in found[0]


def test_debians_children_are_debian(cluster: Cluster) -> None:
    assert said(cluster, distribution="raspbian debian") == []


def test_another_address_of_the_same_port_is_no_clash(cluster: Cluster) -> None:
    assert said(cluster, listeners={"udp 127.0.0.53:53": "systemd-resolve", "tcp [::1]:2379": "x"}) == []


def test_an_agent_has_fewer_ports(cluster: Cluster) -> None:
    facts: dict[str, Any] = {"addresses": [Range("eth0", "192.168.1.21/24")], "listeners": {"tcp 0.0.0.0:6443": "k3s"}}
    assert said(cluster, "agent1", **facts) == []


def test_what_is_ours_on_a_host_that_we_have_is_no_stranger(cluster: Cluster) -> None:
    ours: dict[str, Any] = {
        "containers": ["k8s_x"],
        "lived_in": ["/opt/labkit"],
        "listeners": {"tcp 0.0.0.0:6443": "python"},
        "memory_mb": 1,
    }
    assert said(cluster, owner=IDENTITY, **ours) == []


def test_look_runs_anywhere_and_prints_what_is_asked() -> None:
    printed = subprocess.run(
        [sys.executable, "-", json.dumps({"peers": []})],
        input=checks.LOOK.read_text(), capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    facts = msgspec.json.decode(printed, type=HostFacts)
    assert facts.memory_mb > 0
    assert facts.python == sys.version_info[:2]
