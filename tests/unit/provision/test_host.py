"""Every way in which a host can be unfit for machines has words and a mend of its own."""

import gzip
from pathlib import Path

import msgspec
import pytest

from labkit import cluster as clusters
from labkit.provision import boot, containers, host, host_facts, kernel
from labkit.provision.errors import CommandFailed
from labkit.provision.host import can_start_docker, need_docker, start_docker
from labkit.provision.host_facts import HostFacts, Network, problems
from labkit.provision.problem import Problem

WELL = HostFacts(
    name="lab", provider="docker", machines=3, range="10.245.1.0/24", root=False, systemd=True, docker_running=True,
    programs=frozenset({"docker", "dockerd", "vagrant"}), disk={"/var/lib/docker": 50 << 30}, memory_mb=8000,
)  # fmt: skip


def told(**changes: object) -> list[tuple[str, str]]:
    return [(problem.what, problem.mend) for problem in problems(msgspec.structs.replace(WELL, **changes))]


def test_a_host_that_is_well_has_no_problems() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("changes", "what", "mend"),
    [
        ({"programs": frozenset({"docker", "dockerd"})}, "vagrant is not installed", "doctor --fix"),
        ({"programs": frozenset({"vagrant"}), "docker_running": False}, "docker is not installed", "doctor --fix"),
        ({"docker_running": False}, "docker is not running", "sudo systemctl start docker"),
        ({"docker_running": False, "systemd": False}, "docker is not running", "dockerd >"),
        ({"docker_running": False, "docker_denied": True},
         "this user may not talk to it", "usermod --append --groups docker"),
        ({"docker_running": False, "programs": frozenset({"vagrant", "docker"})},
         "there is no dockerd here", "apt-get install docker.io"),
        ({"missing_modules": ["br_netfilter"]}, "the kernel has no br_netfilter", "modprobe br_netfilter"),
        ({"disk": {"/var/lib/docker": 1 << 30}}, "/var/lib/docker has 1.0 GB free, 3 GB are needed", "make room there"),
        ({"memory_mb": 500},
         "500 MB of memory are free, 3 machines need about 750 MB", "labkit init --cluster lab --agents 1"),
        ({"networks": [Network("the docker network office", "10.245.0.0/16")]},
         "10.245.1.0/24 overlaps 10.245.0.0/16 of the docker network office", "networks.machines"),
        ({"networks": [Network("the interface eth0", "10.245.1.77/24")]}, "of the interface eth0", "another range"),
        ({"networks": [Network("the docker network lab-net", "10.245.7.0/24", ours=True)]},
         "the docker network lab-net has the range 10.245.7.0/24", "labkit destroy --cluster lab"),
        ({"provider": "virtualbox", "hypervisor": [Problem("VirtualBox is not installed", "install it")]},
         "VirtualBox is not installed", "install it"),
        ({"provider": "libvirt", "memory_mb": 2000, "memory_needed": 3160},
         "2000 MB of memory are free, 3 machines need about 3160 MB", "labkit init --cluster lab --agents 1"),
        ({"busy_ports": {22001: "agent1"}},
         "port 22001 of 127.0.0.1, which leads to agent1, is taken", "ss -ltnp sport = :22001"),
    ],
)  # fmt: skip
def test_each_problem_has_its_own_words_and_mend(changes: dict[str, object], what: str, mend: str) -> None:
    found = told(**changes)
    assert len(found) == 1
    assert what in found[0][0]
    assert mend in found[0][1]


def test_problems_are_all_told_at_once() -> None:
    assert len(told(programs=frozenset(), docker_running=False, memory_mb=0)) == 3


def test_what_is_the_clusters_own_is_no_overlap() -> None:
    assert told(networks=[Network("the interface br-lab", "10.245.1.1/24", ours=True)]) == []


def test_machines_that_run_already_need_no_more_room() -> None:
    assert told(machines=0, memory_mb=10, disk={"/": 0}) == []


def test_virtual_machines_do_not_care_about_docker() -> None:
    assert (
        told(provider="libvirt", docker_running=False, programs=frozenset({"vagrant"}), missing_modules=["fuse"]) == []
    )


@pytest.mark.parametrize(
    ("changes", "start"),
    [({}, True), ({"root": False}, False), ({"systemd": True}, False), ({"docker_running": True}, False),
     ({"programs": frozenset({"docker"})}, False), ({"provider": "libvirt"}, False), ({"provider": "ssh"}, True)],
)  # fmt: skip
def test_docker_is_started_only_as_root_where_nobody_else_would(changes: dict[str, object], start: bool) -> None:
    down = msgspec.structs.replace(WELL, root=True, systemd=False, docker_running=False)
    assert can_start_docker(msgspec.structs.replace(down, **changes)) is start


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that answers once dockerd has said so, and a dockerd whose script the test writes."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text('#!/bin/sh\n[ -e "$FAKE/up" ]\n')
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path


def dockerd(fakes: Path, script: str) -> None:
    (fakes / "bin" / "dockerd").write_text(f"#!/bin/sh\n{script}\n")
    (fakes / "bin" / "dockerd").chmod(0o755)


def test_docker_is_started_and_waited_for(fakes: Path) -> None:
    dockerd(fakes, 'echo hello; sleep 0.5; touch "$FAKE/up"; exec sleep 3')
    said: list[str] = []
    start_docker(said.append)
    assert (fakes / "up").exists()
    assert (fakes / "home" / "dockerd.log").read_text() == "hello\n"
    assert "dockerd.log" in said[0]


def test_docker_that_does_not_start_is_told_in_its_own_words(fakes: Path) -> None:
    dockerd(fakes, "echo failed to start daemon: no cgroups; exit 1")
    with pytest.raises(CommandFailed, match="no cgroups"):
        start_docker(lambda line: None)


def write(root: Path, path: str, content: bytes = b"") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def test_a_part_of_the_kernel_leaves_one_trace_or_another(tmp_path: Path) -> None:
    assert kernel.missing(tmp_path, "6.1") == ["br_netfilter", "overlay", "fuse", "nf_tables", "ip_tables"]
    write(tmp_path, "sys/module/fuse/version")  # loaded
    write(tmp_path, "proc/filesystems", b"nodev\tproc\n\text4\nnodev\toverlay\n")  # built in, a file system
    write(tmp_path, "proc/sys/net/bridge/bridge-nf-call-iptables", b"1")
    assert kernel.missing(tmp_path, "6.1") == ["nf_tables", "ip_tables"]
    write(tmp_path, "lib/modules/6.1/modules.builtin", b"kernel/net/netfilter/nf_tables.ko\n")
    write(tmp_path, "proc/config.gz", gzip.compress(b"CONFIG_IP_NF_IPTABLES=y\n"))
    assert kernel.missing(tmp_path, "6.1") == []


def test_a_module_that_is_only_on_disk_is_missing(tmp_path: Path) -> None:
    write(tmp_path, "boot/config-6.1", b"CONFIG_FUSE_FS=m\n# CONFIG_NF_TABLES is not set\n")
    assert "fuse" in kernel.missing(tmp_path, "6.1")
    assert "nf_tables" in kernel.missing(tmp_path, "6.1")


def test_a_suspended_machine_keeps_its_port_and_a_halted_ones_may_be_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    cluster = clusters.init("asleep")
    states = {machine.name: "paused" for machine in cluster.machines}
    monkeypatch.setattr(containers, "states", lambda of: states)
    monkeypatch.setattr(boot, "ports", lambda of: boot.Ports(ssh={"master": 22001, "agent1": 22002}, apiserver=22003))
    monkeypatch.setattr(boot, "is_free", lambda port: False)
    assert host_facts._busy_ports(cluster) == {}
    states["agent1"] = "stopped"
    assert host_facts._busy_ports(cluster) == {22002: "agent1"}


def test_who_needs_docker_without_a_cluster_gets_it_or_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, started = msgspec.structs.replace(WELL, name="", machines=0, range=""), []
    monkeypatch.setattr(host, "look_at_docker", lambda: facts)
    monkeypatch.setattr(host, "start_docker", started.append)
    need_docker(print)
    assert started == []
    facts = msgspec.structs.replace(facts, docker_running=False)
    with pytest.raises(CommandFailed, match="docker is not running: `sudo systemctl start docker`"):
        need_docker(print)
    facts = msgspec.structs.replace(facts, root=True, systemd=False)
    need_docker(print)
    assert started == [print]
    facts = msgspec.structs.replace(facts, programs=frozenset({"vagrant"}))
    with pytest.raises(CommandFailed, match="docker is not installed"):
        need_docker(print)
