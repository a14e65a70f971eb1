"""What the Vagrantfile decides, for every provider and architecture: evaluated by ruby with a stand-in for Vagrant.

Whether the real Vagrant takes it is e2e's (`vagrant validate`), and `make test-vm`'s for libvirt.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labkit import cluster as clusters
from labkit.cluster import SHARE, Cluster
from labkit.cluster_rules import VIRTUAL
from labkit.provision import boot

pytestmark = pytest.mark.skipif(not shutil.which("ruby"), reason="needs ruby, which comes with vagrant")
RECORDER = Path(__file__).parent / "recorder.rb"
OWN = {"LABKIT_BOX": "labkit/machine-1", "LABKIT_BOX_FILES": "/boxes/1"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    cluster = clusters.init("lab", provider="libvirt")
    boot.prepare(cluster)
    return cluster


def evaluate(cluster: Cluster, provider: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {
        "PATH": os.environ["PATH"],
        "HOME": str(cluster.state),
        "LABKIT_CLUSTER_JSON": str(cluster.state / "cluster.json"),
        "LABKIT_IMAGE": "labkit-node:1",
    }
    command = ["ruby", str(RECORDER), provider, str(SHARE / "Vagrantfile"), *words]
    return subprocess.run(command, env=known | environment, capture_output=True, text=True, timeout=30, check=False)


def machines(cluster: Cluster, provider: str, **environment: str) -> dict[str, dict[str, Any]]:
    """What was decided for each machine: {'master': {'box': ..., 'libvirt': {...}, 'network': [...]}}."""
    done = evaluate(cluster, provider, **environment)
    assert done.returncode == 0, done.stderr
    return {name: one["vm"] for name, one in json.loads(done.stdout)["vm"]["machines"].items()}


@pytest.mark.parametrize(
    ("provider", "architecture", "box"),
    [
        ("virtualbox", "x86_64", "debian/bookworm64"),
        ("virtualbox", "arm64", "bento/debian-12"),
        ("virtualbox", "aarch64", "bento/debian-12"),
        ("parallels", "arm64", "bento/debian-12"),
        ("vmware_desktop", "x86_64", "bento/debian-12"),
        ("vmware_desktop", "arm64", "bento/debian-12"),
        ("hyperv", "x86_64", "generic/debian12"),
        ("libvirt", "x86_64", "debian/bookworm64"),
    ],
)
def test_the_box_is_one_that_exists_for_the_hosts_processor(
    cluster: Cluster, provider: str, architecture: str, box: str
) -> None:
    made = machines(cluster, provider, LABKIT_ARCHITECTURE=architecture)
    assert {machine["box"] for machine in made.values()} == {box}
    chosen = machines(cluster, provider, LABKIT_ARCHITECTURE=architecture, LABKIT_BOX="mine/debian")
    assert {machine["box"] for machine in chosen.values()} == {"mine/debian"}


@pytest.mark.parametrize("provider", ["hyperv", "libvirt"])
def test_where_there_is_no_box_for_arm_up_says_so(cluster: Cluster, provider: str) -> None:
    done = evaluate(cluster, provider, "up", LABKIT_ARCHITECTURE="arm64")
    assert done.returncode == 1
    assert f"no public Debian 12 box for {provider} on ARM: `labkit box build`" in done.stderr
    assert evaluate(cluster, provider, "status", LABKIT_ARCHITECTURE="arm64").returncode == 0
    assert evaluate(cluster, provider, "up", LABKIT_ARCHITECTURE="arm64", LABKIT_BOX="mine/debian").returncode == 0


@pytest.mark.parametrize("provider", VIRTUAL)
def test_three_machines_leave_a_third_of_4_gb(cluster: Cluster, provider: str) -> None:
    sizes = [machine[provider] for machine in machines(cluster, provider).values()]
    memory = [int(size["vmx"]["memsize"] if "vmx" in size else size["memory"]) for size in sizes]
    assert len(memory) == 3
    assert sum(memory) <= 4096 * 2 / 3
    assert min(memory) >= 768


@pytest.mark.parametrize("provider", ["virtualbox", "libvirt", "parallels", "vmware_desktop"])
def test_machines_have_the_addresses_of_cluster_json(cluster: Cluster, provider: str) -> None:
    for name, machine in machines(cluster, provider).items():
        kind, options = machine["network"][0]
        assert (kind, options["ip"]) == ("private_network", cluster.machine(name).address)
        assert options["netmask"] == "255.255.255.0"
        assert machine["hostname"] == name


@pytest.mark.parametrize("provider", VIRTUAL)
def test_every_machine_is_made_a_lab_machine(cluster: Cluster, provider: str) -> None:
    for name, machine in machines(cluster, provider).items():
        provisioners = {one[0]: one[1] for one in machine["provision"]}
        assert list(provisioners) == ["recipe", "key.pub", "node.conf", "setup"]
        assert Path(provisioners["node.conf"]["source"]).read_text() == boot.node_conf(cluster, cluster.machine(name))
        assert Path(provisioners["recipe"]["source"], "vm.sh").exists()


def test_a_public_box_takes_packages_from_the_clusters_mirror(cluster: Cluster) -> None:
    cluster.mirrors.debian = "http://mirror.example:8080/debian"
    clusters.save(cluster)
    provisioners = {one[0]: one[1] for one in machines(cluster, "virtualbox")["agent1"]["provision"]}
    assert list(provisioners)[-2:] == ["mirror", "setup"]
    assert "http://mirror.example:8080/debian" in provisioners["mirror"]["inline"]


def test_our_own_box_gets_name_and_address_from_the_kernels_command_line(cluster: Cluster) -> None:
    agent = machines(cluster, "libvirt", **OWN)["agent1"]
    libvirt = agent["libvirt"]
    assert agent["box"] == "labkit/machine-1"
    assert (libvirt["kernel"], libvirt["initrd"]) == ("/boxes/1/vmlinuz", "/boxes/1/initrd.img")
    assert "systemd.hostname=agent1 ip=10.245.1.12:::255.255.255.0::eth1:off" in libvirt["cmd_line"]
    assert libvirt["management_network_mode"] == "none"
    assert agent["network"][0][1]["auto_config"] is False
    assert "hostname" not in agent
    assert "provision" not in agent
    words = [one[0]["value"] for one in libvirt["qemuargs"]]
    assert words[0::2] == ["-fw_cfg", "-fw_cfg"]
    told = dict(word.removeprefix("name=opt/labkit/").split(",string=") for word in words[1::2])
    conf = boot.node_conf(cluster, cluster.machine("agent1"))
    assert told["node.conf"].replace(",,", ",").replace(";", "\n") + "\n" == conf
    assert told["key.pub"] == (cluster.state / "ssh/id_ed25519.pub").read_text().strip()


def test_a_public_box_may_fetch_packages(cluster: Cluster) -> None:
    libvirt = machines(cluster, "libvirt")["master"]["libvirt"]
    assert not {"management_network_mode", "kernel", "cmd_line"} & set(libvirt)


def test_the_processor_is_emulated_where_there_is_no_kvm(cluster: Cluster) -> None:
    fast = machines(cluster, "libvirt", **OWN)["master"]["libvirt"]
    assert fast["driver"] == "kvm"
    assert "cpu_model" not in fast
    assert "mitigations=off" not in fast["cmd_line"]
    slow = machines(cluster, "libvirt", **OWN, LABKIT_DRIVER="qemu", LABKIT_EMULATOR="/boxes/1/qemu-tcg")
    master = slow["master"]["libvirt"]
    assert master["driver"] == "qemu"
    assert master["cpu_model"] == "Nehalem"
    assert master["emulator_path"] == "/boxes/1/qemu-tcg"
    assert "mitigations=off" in master["cmd_line"]
    here = len(os.sched_getaffinity(0))
    assert [each["cpus"] for each in (fast, master)] == [min(2, max(1, here // 2)), min(2, here)]
    assert slow["agent1"]["libvirt"]["cpus"] == 1


def test_containers_are_as_they_were(cluster: Cluster) -> None:
    master = machines(cluster, "docker")["master"]
    assert master["docker"]["image"] == "labkit-node:1"
    assert "box" not in master


def test_a_slow_computer_is_waited_for(cluster: Cluster) -> None:
    for patience, seconds in (("", 120), ("6", 720), ("0.1", 120), ("soon", 120)):
        done = evaluate(cluster, "docker", LABKIT_PATIENCE=patience)
        assert json.loads(done.stdout)["vm"]["boot_timeout"] == seconds
    slow = machines(cluster, "virtualbox", LABKIT_PATIENCE="3")
    assert slow["master"]["boot_timeout"] == 1800
