"""Every way in which a host can be ill has its line, its mend, and where it is safe a remedy."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit.cluster import find
from labkit.provision.doctor import conditions
from labkit.provision.doctor.conditions import Conditions, Route
from labkit.provision.doctor.finding import Finding, Level
from labkit.provision.doctor.host import findings
from labkit.provision.doctor.remedies import REMEDIES
from labkit.provision.problem import Problem
from tests.unit.provision.test_host import WELL

HEALTHY = Conditions(
    python="3.11.2", versions={"docker": "24.0.7", "vagrant": "2.3.4", "ip": "6.1", "iptables": "1.8"}, cgroup=2,
    docker={"Driver": "overlay2"}, open_files=1048576, kvm=True,
    limits={"fs/inotify/max_user_instances": 128, "fs/inotify/max_user_watches": 65536, "fs/file-max": 10**9},
)  # fmt: skip


def told(now: dict[str, Any] | None = None, **facts: object) -> list[Finding]:
    found = findings(msgspec.structs.replace(WELL, **facts), msgspec.structs.replace(HEALTHY, **(now or {})))
    return [finding for finding in found if finding.level is not Level.WELL]


def test_a_healthy_host_is_told_so() -> None:
    found = findings(WELL, HEALTHY)
    assert {finding.level for finding in found} == {Level.WELL}
    said = " ".join(finding.what for finding in found)
    for word in ("python 3.11.2", "vagrant 2.3.4", "cgroup v2", "capability", "limits", "8000 MB", "10.245.1.0/24"):
        assert word in said


ILLS = [
    ({"versions": HEALTHY.versions | {"docker": "19.3.1"}}, {}, "docker 19.3.1 is too old: 20.10", "docker.io", ""),
    ({"versions": {"docker": "24.0", "vagrant": "2.4", "ip": "6.1"}}, {}, "iptables is not", "apt-get", "install"),
    ({"image": False, "debootstrap": False}, {}, "debootstrap, which builds it", "--bundle", "install"),
    ({"cgroup": 0}, {}, "no memory control groups", "cgroup_enable=memory", ""),
    ({"memory_cgroup": False}, {}, "no memory control groups", "cgroup_enable=memory", ""),
    ({"docker": {"SecurityOptions": ["name=rootless"]}}, {}, "rootless", "docker context use default", ""),
    ({"docker": {"SecurityOptions": ["name=userns"]}}, {}, "userns-remap", "daemon.json", ""),
    ({"missing_capabilities": ["SYS_ADMIN"]}, {}, "docker itself lacks SYS_ADMIN", "--provider libvirt", ""),
    ({"limits": {"fs/inotify/max_user_instances": 100}}, {}, "max_user_instances is 100, 128", "sysctl -w", "sysctl"),
    ({"limits": {"fs/inotify/max_user_instances": 128}}, {"machines": 20}, "is 128, 336 are", "sysctl -w", "sysctl"),
    ({"open_files": 256}, {}, "may open 256 files", "ulimit -n 1024", ""),
    ({"inodes": {"/var": 10}}, {}, "/var has room for 10 more files", "du --inodes", ""),
    ({"routes": [Route("10.245.1.128/25", "tun0")]}, {}, "by tun0 (a VPN?) takes packets", "--machines", ""),
    ({"resolvers": ["10.245.1.53"]}, {}, "name server 10.245.1.53 lies in", "--machines", ""),
    ({}, {"docker_running": False}, "docker is not running", "systemctl start docker", "start-docker"),
    ({}, {"missing_modules": ["overlay"]}, "the kernel has no overlay", "modprobe overlay", "load-module"),
    (
        {},
        {"provider": "virtualbox", "hypervisor": [Problem("VirtualBox is not installed", "install it from its maker")]},
        "VirtualBox is not installed",
        "from its maker",
        "",
    ),
    ({}, {"programs": frozenset({"docker", "dockerd"})}, "vagrant is not installed", "doctor --fix", "install"),
]


@pytest.mark.parametrize(("now", "facts", "what", "mend", "fix"), ILLS)
def test_each_ill_has_its_words_mend_and_remedy(
    now: dict[str, Any], facts: dict[str, Any], what: str, mend: str, fix: str
) -> None:
    (found,) = told(now, **facts)
    assert found.is_wrong
    assert what in found.what
    assert mend in found.mend
    assert found.fix == fix
    assert not fix or fix in REMEDIES


@pytest.mark.parametrize(
    ("now", "facts", "what"),
    [
        ({"image": False}, {}, "not built yet"),
        ({"routes": [Route("10.0.0.0/8", "tun0")]}, {}, "10.245.1.0/24 is a part of 10.0.0.0/8, which tun0 leads to"),
        ({"kvm": False}, {"provider": "libvirt"}, "no hardware virtualization"),
    ],
)
def test_what_is_only_worth_a_note(now: dict[str, Any], facts: dict[str, Any], what: str) -> None:
    (found,) = told(now, **facts)
    assert found.level is Level.NOTE
    assert what in found.what


def test_inside_a_virtual_machine_the_outer_one_is_named() -> None:
    (found,) = told({"kvm": False, "virtual": True}, provider="virtualbox")
    assert "nested" in found.mend


def test_the_clusters_own_bridge_and_other_networks_are_no_clash() -> None:
    routes = [Route("10.245.1.0/24", "br-lab"), Route("192.168.0.0/16", "tun0"), Route("172.17.0.0/16", "docker0")]
    assert told({"routes": routes}) == []


def test_the_capabilities_are_those_of_the_vagrantfile() -> None:
    listed = re.search(r"CAPABILITIES = %w\[(.*?)\]", find("Vagrantfile").read_text(), re.DOTALL)
    assert listed
    assert set(listed[1].split()) == set(conditions._CAPABILITIES.values())


def test_looking_works_on_this_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit import cluster as clusters

    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    found = conditions.look(clusters.init("look"), docker_running=False)
    assert found.cgroup in (0, 1, 2)
    assert found.limits["kernel/pid_max"] > 0
    assert found.open_files > 0
    assert all("/" in route.cidr for route in found.routes)
