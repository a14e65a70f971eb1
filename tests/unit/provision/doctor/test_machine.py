"""What the doctor says of one machine, and of the cluster's files."""

import datetime
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import boot, pki
from labkit.provision.doctor import machine, remedies, state
from labkit.provision.doctor.finding import Finding, Level, wrong
from labkit.provision.doctor.machine import Vitals
from labkit.provision.errors import CommandFailed
from labkit.provision.facts import Facts, UnitFact
from tests.unit.provision.test_host import WELL as HOST_IS_WELL

PRINTED = """1448000002.500000000
52428800 104857600
900000 1000000
kubelet.service docker.service
1
10.244.1.0/24 10.244.3.0/24
4
1048576
"""
WELL = Vitals(clock=0.1, disk=(50 << 20, 100 << 20), inodes=(9, 10), failed=[], default_routes=1,
              routes=["10.244.1.0/24", "10.244.3.0/24"], fence=4, open_files=1 << 20)  # fmt: skip
FACTS = Facts(units={"kubelet": UnitFact("active"), "kube-proxy": UnitFact("active")}, memory_used=100 << 20)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return clusters.init("lab")


def judged(cluster: Cluster, now: Vitals = WELL, facts: Facts = FACTS) -> list[Finding]:
    return [each for each in machine.judge(cluster, cluster.machine("agent1"), now, facts) if each.is_wrong]


def vitals(**changes: object) -> Vitals:
    return msgspec.structs.replace(WELL, **changes)


def test_what_the_machine_printed_is_read() -> None:
    found = machine.read(PRINTED, now=1448000000.0)
    assert found == vitals(clock=2.5, inodes=(900000, 1000000), failed=["kubelet.service", "docker.service"])


def test_a_machine_that_is_well(cluster: Cluster) -> None:
    assert judged(cluster) == []
    (said,) = machine.judge(cluster, cluster.machine("agent1"), WELL, FACTS)
    assert said.what == "2 of 2 services run, 100 MB of memory used, 50 GB of disk free"


@pytest.mark.parametrize(
    ("now", "facts", "what", "mend", "fix"),
    [
        (vitals(clock=-3600.0), FACTS, "-3600 s", "timesyncd", ""),
        (vitals(disk=(1 << 20, 100 << 20)), FACTS, "disk is 99 % full", "labkit ssh agent1", ""),
        (vitals(inodes=(1, 1000)), FACTS, "inodes", "labkit ssh agent1", ""),
        (WELL, Facts(memory_used=990 << 20, memory_allowed=1 << 30), "990 of 1024 MB", "memoryMB", ""),
        (vitals(failed=["kubelet.service"]), FACTS, "kubelet.service has failed", "labkit logs kubelet", "start-unit"),
        (WELL, Facts(units={"kubelet": UnitFact("inactive")}), "kubelet does not run", "start kubelet", "start-unit"),
        (vitals(routes=["10.244.1.0/24"]), FACTS, "lacks routes to 10.244.3.0/24", "restart lab-net", "start-unit"),
        (vitals(fence=0), FACTS, "the rules that keep packets in the lab", "restart lab-net", "start-unit"),
        (vitals(open_files=256), FACTS, "256 files", "limit", ""),
    ],
)
def test_each_ill_of_a_machine(cluster: Cluster, now: Vitals, facts: Facts, what: str, mend: str, fix: str) -> None:
    (found,) = judged(cluster, now, facts)
    assert (found.where, found.fix) == ("agent1", fix)
    assert what in found.what
    assert mend in found.mend


def test_what_up_would_do_is_what_is_wrong(cluster: Cluster) -> None:
    agent = cluster.machine("agent1")
    assert machine.differs(agent, [])[0].level is Level.WELL
    (found,) = machine.differs(agent, ["start kubelet"])
    assert found.is_wrong
    assert "start kubelet" in found.what
    assert found.mend == "`labkit up`"


def test_keys_that_others_can_read_are_closed_by_fix(cluster: Cluster) -> None:
    boot.ensure_key(cluster)
    key = cluster.state / "ssh" / "id_ed25519"
    assert [each for each in state.findings(cluster, HOST_DOWN) if each.is_wrong] == []
    key.chmod(0o644)
    (found,) = [each for each in state.findings(cluster, HOST_DOWN) if each.is_wrong]
    assert "open to other users (644)" in found.what
    done = remedies.apply(cluster, [found], print)
    assert done == [f"closed {key} to other users"]
    assert key.stat().st_mode & 0o777 == 0o600


HOST_DOWN = msgspec.structs.replace(HOST_IS_WELL, docker_running=False)


def test_certificates_that_ended_or_are_damaged(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=9000)
    monkeypatch.setattr(pki, "_now", lambda: long_ago)
    keys = pki.Pki(cluster.state / "pki")
    keys._ensure_authority(cluster, "ca")
    (cluster.state / "pki" / "odd.crt").write_text("nonsense")
    found = {each.what.split()[-1]: each.mend for each in state.findings(cluster, HOST_DOWN) if each.is_wrong}
    assert "damaged" in found
    assert len(found) == 2
    assert x509.load_pem_x509_certificate(keys.certificate("ca")).public_bytes(serialization.Encoding.PEM)


def test_ports_that_cannot_be_read(cluster: Cluster) -> None:
    (cluster.state / "ports.json").write_text("{")
    (found,) = [each for each in state.findings(cluster, HOST_DOWN) if each.is_wrong]
    assert "rm " in found.mend


def test_a_remedy_that_fails_is_told_and_the_others_go_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise CommandFailed("host", "raise a limit", tail="read-only file system")

    monkeypatch.setitem(remedies.REMEDIES, "sysctl", fails)
    path = cluster.state / "cluster.json"
    path.chmod(0o644)
    lines: list[str] = []
    found = [wrong("host", "a", "b", "sysctl", "x=1"), wrong("host", "a", "b", "chmod", "600", str(path))]
    assert remedies.apply(cluster, found, lines.append) == [f"closed {path} to other users"]
    assert "read-only file system" in lines[0]
