"""The host's rule against a way out: put up once, taken down wholly, left alone without root."""

from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.provision import fence
from labkit.provision.errors import CommandFailed


class Iptables:
    """The chain as a list of rules."""

    def __init__(self) -> None:
        self.rules: list[list[str]] = []
        self.there = True

    def __call__(self, what: str, command: list[str], timeout: float) -> str:
        program, wait, verb, chain, *rule = command
        assert (program, wait, chain) == ("iptables", "-w", "DOCKER-USER")
        if verb == "-S":
            if not self.there:
                raise CommandFailed("host", what, " ".join(command), 1, "No chain/target/match by that name.")
        elif verb == "-I":
            self.rules.insert(0, rule)
        elif rule not in self.rules:
            raise CommandFailed("host", what, " ".join(command), 1, "Bad rule")
        elif verb == "-D":
            self.rules.remove(rule)
        return ""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> clusters.Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/sbin/{name}")
    return clusters.init("lab")


@pytest.fixture
def iptables(monkeypatch: pytest.MonkeyPatch) -> Iptables:
    chain = Iptables()
    monkeypatch.setattr(fence, "run", chain)
    return chain


def test_one_rule_however_often(cluster: clusters.Cluster, iptables: Iptables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert fence.put_up(cluster)
    assert not fence.put_up(cluster)
    assert iptables.rules == [
        ["-i", "br-lab", "!", "-o", "br-lab", "-m", "comment", "--comment", "labkit: lab has no way out", "-j", "DROP"]
    ]
    iptables.rules.append(iptables.rules[0])
    fence.take_down(cluster)
    assert iptables.rules == []


def test_without_root_nothing_is_tried(
    cluster: clusters.Cluster, iptables: Iptables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not fence.put_up(cluster)
    fence.take_down(cluster)
    assert iptables.rules == []


def test_a_docker_without_firewall_rules_is_left_alone(
    cluster: clusters.Cluster, iptables: Iptables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    iptables.there = False
    assert not fence.put_up(cluster)
    assert iptables.rules == []
