"""cluster.json: what it may say, what is said of it when it may not, and how it grows."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit import cluster as clusters
from labkit.cluster import REPOSITORY, Cluster, ClusterError, Machine

DEFAULT: dict[str, Any] = msgspec.json.decode((REPOSITORY / "cluster.json").read_bytes())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return tmp_path


def changed(change: Callable[[dict[str, Any]], Any]) -> list[str]:
    """The faults of the repository's cluster.json after a change of its content."""
    content = copy.deepcopy(DEFAULT)
    change(content)
    return clusters.validate(msgspec.convert(content, Cluster))


def test_the_repositorys_own_file_is_valid() -> None:
    assert clusters.read(REPOSITORY / "cluster.json").name == "lab"


FAULTS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("a long name", lambda c: c.update(name="kubernetes-lab"), "name: 'kubernetes-lab', expected"),
    ("a name with capitals", lambda c: c.update(name="Lab"), "name: 'Lab', expected"),
    ("no such provider", lambda c: c.update(provider="xen"),
     "provider: 'xen', expected one of docker, virtualbox, libvirt, parallels, vmware_desktop, hyperv"),
    (
        "no such proxy mode", lambda c: c.update(proxyMode="ipvs"),
        "proxyMode: 'ipvs', expected one of userspace, iptables, nftables",
    ),
    ("no such timing", lambda c: c.update(timing="fast"), "timing: 'fast', expected one of historic, classroom"),
    ("pods over machines", lambda c: c["networks"].update(pods="10.245.0.0/16"),
     "networks.pods: 10.245.0.0/16 overlaps networks.machines 10.245.1.0/24"),
    ("services over pods", lambda c: c["networks"].update(services="10.0.0.0/8"),
     "networks.services: 10.0.0.0/8 overlaps networks.pods 10.244.0.0/16"),
    ("no network", lambda c: c["networks"].update(machines="10.245.1.0"),
     "networks.machines: 10.245.1.0, expected a prefix of /8 to /28"),
    ("host bits", lambda c: c["networks"].update(machines="10.245.1.7/24"),
     "networks.machines: 10.245.1.7/24 has host bits set"),
    ("address outside", lambda c: c["machines"][1].update(address="10.9.9.9"),
     "machines[1].address: '10.9.9.9', expected an address in networks.machines 10.245.1.0/24"),
    ("address twice", lambda c: c["machines"][2].update(address="10.245.1.12"),
     "machines[2].address: 10.245.1.12 belongs to agent1"),
    ("the host's address", lambda c: c["machines"][2].update(address="10.245.1.1"),
     "machines[2].address: 10.245.1.1 belongs to the host"),
    ("nobody's address", lambda c: c["machines"][2].update(address="10.245.1.253"),
     "machines[2].address: 10.245.1.253 belongs to the gateway"),
    ("a bad machine name", lambda c: c["machines"][1].update(name="Agent_1"), "machines[1].name: 'Agent_1', expected"),
    ("a name twice", lambda c: c["machines"][2].update(name="agent1"),
     "machines[2].name: 'agent1' is the name of an earlier machine"),
    ("a pod subnet twice", lambda c: c["machines"][2].update(podSubnet=2),
     "machines[2].podSubnet: 2 belongs to agent1"),
    ("a pod subnet too far", lambda c: (c["machines"][2].update(podSubnet=256), c.update(nextPodSubnet=257)),
     "machines[2].podSubnet: 256, expected 1 to 255"),
    ("a pod subnet to be given again", lambda c: c.update(nextPodSubnet=3),
     "nextPodSubnet: 3, expected more than agent2's podSubnet 3"),
    ("two masters", lambda c: c["machines"][1].update(roles=["master"]),
     "machines: master, agent1 has the role master, expected exactly one"),
    ("no master", lambda c: c["machines"].pop(0), "machines: no machine has the role master, expected exactly one"),
    ("no such role", lambda c: c["machines"][1].update(roles=["minion"]),
     "machines[1].roles[0]: 'minion', expected one of master, agent"),
    ("no role", lambda c: c["machines"][1].update(roles=[]), "machines[1].roles: [], expected"),
    ("dns outside", lambda c: c["dns"].update(address="10.1.0.10"),
     "dns.address: '10.1.0.10', expected an address in networks.services 10.0.0.0/16"),
    ("dns on kubernetes", lambda c: c["dns"].update(address="10.0.0.1"), "dns.address: 10.0.0.1 is taken"),
    ("a forwarder's name", lambda c: c["dns"].update(forwarders=["dns.example"]),
     "dns.forwarders[0]: 'dns.example' is no address, expected an IPv4 address"),
    ("a forwarder that is a service", lambda c: c["dns"].update(forwarders=["192.0.2.1", "10.0.0.10"]),
     "dns.forwarders[1]: '10.0.0.10' is in networks.services 10.0.0.0/16, expected"),
    ("a forwarder that is a pod", lambda c: c["dns"].update(forwarders=["10.244.2.9"]),
     "dns.forwarders[0]: '10.244.2.9' is in networks.pods 10.244.0.0/16, expected"),
    ("kube-dns as its own forwarder", lambda c: c["dns"].update(forwarders=["10.245.1.11"]),
     "dns.forwarders[0]: '10.245.1.11' is master, expected"),
    ("a forwarder on loopback", lambda c: c["dns"].update(forwarders=["127.0.0.53"]),
     "dns.forwarders[0]: '127.0.0.53' is no other machine, expected"),
    ("a forwarder twice", lambda c: c["dns"].update(forwarders=["192.0.2.1", "192.0.2.1"]),
     "dns.forwarders[1]: 192.0.2.1 is listed before, expected each address once"),
    ("a domain", lambda c: c["dns"].update(domain="cluster..local"),
     "dns.domain: 'cluster..local', expected a DNS name"),
    ("a port", lambda c: c["apiserver"].update(port=70000), "apiserver.port: 70000, expected 1 to 65535"),
    ("one port for two", lambda c: c["registry"].update(port=6443), "registry.port: 6443 is apiserver.port too"),
    ("a Debian mirror", lambda c: c["mirrors"].update(debian="mirror.example/debian"),
     "mirrors.debian: 'mirror.example/debian', expected nothing or a URL such as http://deb.debian.org/debian"),
    ("a Debian mirror's port", lambda c: c["mirrors"].update(debian="http://mirror.example:0/debian"),
     "mirrors.debian: 'http://mirror.example:0/debian', expected nothing or a URL"),
    ("a command for a mirror", lambda c: c["mirrors"].update(pypi="https://pypi.example/$(id)"),
     "mirrors.pypi: 'https://pypi.example/$(id)', expected nothing or a URL such as https://pypi.org/simple"),
    ("a password in a mirror", lambda c: c["mirrors"].update(pypi="https://me:secret@pypi.example/simple"),
     "mirrors.pypi: has a user or a password in it, expected a URL without"),
    ("a mirror", lambda c: c["registry"].update(mirror="mirror.example"),
     "registry.mirror: 'mirror.example', expected nothing or a URL"),
    ("a mirror out of reach", lambda c: c["registry"].update(mirror="https://192.0.2.1:5001"),
     "registry.mirror: 'https://192.0.2.1:5001' is not on networks.machines 10.245.1.0/24"),
    ("a mirror with a path", lambda c: c["registry"].update(mirror="http://host.lab:5001/v2"),
     "registry.mirror: 'http://host.lab:5001/v2', expected nothing or a URL without a path"),
    ("a mirror's port", lambda c: c["registry"].update(mirror="http://host.lab:99999"),
     "registry.mirror: 'http://host.lab:99999', expected nothing or a URL"),
    ("the master as its own mirror", lambda c: c["registry"].update(mirror="https://10.245.1.11:5000"),
     "registry.mirror: 'https://10.245.1.11:5000' is the master's registry"),
    ("no such profile", lambda c: c.update(profile="open"),
     "profile: 'open', expected one of historic, classroom"),
    ("no memory", lambda c: c["machines"][0].update(memoryMB=64), "machines[0].memoryMB: 64, expected 256 or more"),
    ("no cpu", lambda c: c["machines"][0].update(cpus=0), "machines[0].cpus: 0, expected 1 or more"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_names_its_field_and_what_was_expected(change: Callable[[dict[str, Any]], Any], expected: str) -> None:
    found = changed(change)
    assert any(fault.startswith(expected) for fault in found), found


def test_master_and_agent_may_meet_on_one_machine() -> None:
    assert changed(lambda content: content["machines"][0].update(roles=["master", "agent"])) == []


@pytest.mark.parametrize("mirror", ["", "http://host.lab:5001", "https://10.245.1.1", "http://10.245.1.99:5001/"])
def test_a_mirror_on_the_machines_network(mirror: str) -> None:
    assert changed(lambda content: content["registry"].update(mirror=mirror)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "lab",\n  "machines": [}', "line 2, column 16: JSON is malformed"),
        ("", "line 1, column 1: Input data was truncated"),
        ("[]", "the whole file: Expected `object`, got `array`"),
        ('{"name": 7}', "name: Expected `str`, got `int`"),
        ('{"nmae": "lab"}', "the whole file: Object contains unknown field `nmae`"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(text)
    with pytest.raises(ClusterError) as caught:
        clusters.read(path)
    assert str(caught.value).startswith(f"{path}: {expected}")
    assert caught.value.exit_code == 2


def test_the_path_of_a_wrong_type_is_that_of_the_field(tmp_path: Path) -> None:
    content = copy.deepcopy(DEFAULT)
    content["machines"][1]["podSubnet"] = "two"
    path = tmp_path / "cluster.json"
    path.write_bytes(msgspec.json.encode(content))
    with pytest.raises(ClusterError, match=r"machines\[1\]\.podSubnet: Expected `int`, got `str`"):
        clusters.read(path)


def test_an_unknown_cluster_says_how_to_make_it() -> None:
    with pytest.raises(ClusterError, match="labkit init --cluster nowhere"):
        clusters.load("nowhere")


def test_init_writes_a_private_file_that_load_reads(home: Path) -> None:
    made = clusters.init("lab")
    path = home / "lab" / "cluster.json"
    assert clusters.load("lab") == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert clusters.names() == ["lab"]


def test_a_second_cluster_gets_a_range_of_its_own() -> None:
    first, second = clusters.init("lab"), clusters.init("other")
    assert first.networks.machines == "10.245.1.0/24"
    assert second.networks.machines == "10.245.2.0/24"
    assert [machine.address for machine in second.machines] == ["10.245.2.11", "10.245.2.12", "10.245.2.13"]


def test_a_given_range_is_kept() -> None:
    assert clusters.init("wide", machines="10.99.0.0/20").master.address == "10.99.0.11"
    assert clusters.init("wide", 3).networks.machines == "10.99.0.0/20"
    with pytest.raises(ClusterError, match=r"networks\.machines: is 10\.99\.0\.0/20 and cannot change"):
        clusters.init("wide", machines="10.98.0.0/20")


@pytest.mark.parametrize("bad", ["10.245.9.0/33", "somewhere", "10.245.9.0/29"])
def test_a_range_that_is_none_is_refused_and_nothing_is_made(bad: str, home: Path) -> None:
    with pytest.raises(ClusterError, match=r"networks\.machines"):
        clusters.init("lab", machines=bad)
    assert not (home / "lab").exists()


def test_agents_come_and_go_at_the_end_and_no_pod_subnet_is_given_twice() -> None:
    two = clusters.init("lab")
    four = clusters.init("lab", 4)
    assert four.machines[:3] == two.machines
    assert [(m.name, m.address, m.pod_subnet) for m in four.machines[3:]] == [
        ("agent3", "10.245.1.14", 4),
        ("agent4", "10.245.1.15", 5),
    ]
    assert clusters.init("lab", 1).machines == two.machines[:2]
    again = clusters.init("lab", 2)
    assert (again.machines[2].name, again.machines[2].address, again.machines[2].pod_subnet) == (
        "agent2",
        "10.245.1.13",
        6,
    )


def test_init_again_changes_only_what_was_asked_for() -> None:
    before = clusters.init("lab", 3)
    assert clusters.init("lab") == before
    historic = clusters.init("lab", timing="historic", proxy_mode="nftables")
    assert (historic.proxy_mode, before.proxy_mode) == ("nftables", "userspace")
    assert (historic.timing, historic.machines) == ("historic", before.machines)


def test_a_master_that_is_an_agent_too_is_not_taken_away() -> None:
    cluster = clusters.init("lab", 0)
    assert [machine.name for machine in cluster.machines] == ["master"]
    cluster.machines[0].roles.append("agent")
    clusters.save(cluster)
    assert [machine.name for machine in clusters.init("lab", 1).agents] == ["master", "agent1"]


def test_a_full_range_has_no_room_for_another_agent(home: Path) -> None:
    clusters.init("small", 1, machines="10.245.9.0/28")
    before = (home / "small" / "cluster.json").read_bytes()
    with pytest.raises(ClusterError, match=r"10\.245\.9\.0/28 has no address left"):
        clusters.init("small", 5)
    assert (home / "small" / "cluster.json").read_bytes() == before


def test_what_is_not_valid_is_not_saved(home: Path) -> None:
    cluster = clusters.init("lab")
    before = (home / "lab" / "cluster.json").read_bytes()
    cluster.machines.append(Machine(name="agent1", roles=["agent"], address="10.245.1.99", pod_subnet=9))
    with pytest.raises(ClusterError, match=r"machines\[3\]\.name"):
        clusters.save(cluster)
    assert (home / "lab" / "cluster.json").read_bytes() == before
    assert [path.name for path in (home / "lab").iterdir()] == ["cluster.json"]


def test_a_file_in_anothers_directory_is_refused(home: Path) -> None:
    clusters.init("lab")
    (home / "copy").mkdir()
    (home / "copy" / "cluster.json").write_bytes((home / "lab" / "cluster.json").read_bytes())
    with pytest.raises(ClusterError, match="name: is 'lab', expected 'copy'"):
        clusters.load("copy")


def test_names_and_addresses_that_follow_from_the_cluster() -> None:
    cluster = clusters.init("lab")
    agent = cluster.machine("agent1")
    assert (cluster.pod_cidr(agent), cluster.container(agent)) == ("10.244.2.0/24", "lab-agent1")
    assert (cluster.host_address, cluster.nobody_address) == ("10.245.1.1", "10.245.1.253")
    assert (cluster.network, cluster.bridge, cluster.label) == ("lab-net", "br-lab", "labkit.cluster=lab")
    with pytest.raises(KeyError, match="it has master, agent1, agent2"):
        cluster.machine("agent9")


def test_the_state_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert clusters.state_dir("lab") == Path("/x/labkit/lab")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert clusters.state_dir("lab") == Path("/h/.local/state/labkit/lab")
