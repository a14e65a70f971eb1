"""What a host is sent, as text: packages by role, lab-net, how one logs in there, whose key is pinned."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster, ClusterError, write_private
from labkit.provision import boot, tree
from labkit.provision.errors import CommandFailed, Unreachable
from labkit.provision.existing import from_bundle, hosts, inventory, packages, prepare, trust
from labkit.provision.existing.inventory import Host
from labkit.provision.known_hosts import KnownHosts
from labkit.provision.login import login
from labkit.provision.ssh import Ssh, as_user

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDkg4WRGwGwhTS6r8wN4gsntpyx9fYWCBeyOWycK0o6D"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return inventory.adopt(
        clusters.init("class", provider="ssh"),
        {
            "master": Host(address="192.168.1.20", roles=["master"], user="root", host_key=KEY),
            "agent1": Host(address="192.168.1.21", user="ubuntu", port=2222, identity_file="/keys/class"),
        },
    )


def test_packages_by_role(cluster: Cluster) -> None:
    names = {machine.name: {each.name for each in packages.wanted(machine)} for machine in cluster.machines}
    assert {"etcd-server", "skopeo", "iptables"} <= names["master"]
    assert {"docker.io", "iptables"} <= names["agent1"]
    assert "docker.io" not in names["master"]
    assert "etcd-server" not in names["agent1"]


def test_a_bundle_made_from_packages_has_all_that_a_host_may_need(cluster: Cluster) -> None:
    carried = tree.listed("packages.txt")
    assert {each.name for machine in cluster.machines for each in packages.wanted(machine)} <= set(carried)


def test_of_a_bundles_packages_only_those_go_to_a_host_that_apt_asks_for(cluster: Cluster) -> None:
    source = from_bundle.archive(cluster)
    git = source / "pool/main/g/git/git_2.39.5-0+deb12u2_amd64.deb"
    git.parent.mkdir(parents=True)
    git.touch()
    path = str(git.relative_to(source)).replace("+", "%2b")
    asked = f"'file:{from_bundle.PLACE}/{path}' {git.name} 7256884 SHA256:0a\n"
    assert from_bundle.wanted("agent1", asked, source) == [git]
    with pytest.raises(CommandFailed, match=r"the bundle has no git_3_amd64\.deb: make it again"):
        from_bundle.wanted("agent1", asked.replace("git_2.39.5-0%2bdeb12u2", "git_3"), source)


def test_scripts_are_scripts(cluster: Cluster) -> None:
    scripts = [
        packages.install(cluster.master),
        packages.missing(cluster.master),
        (prepare.RECIPE / "lab-net").read_text(),
        prepare.DOCKER,
    ]
    for script in scripts:
        done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr


def test_the_recipe_is_lab_net_its_unit_and_the_boot_file(cluster: Cluster) -> None:
    with tarfile.open(fileobj=io.BytesIO(prepare.recipe(cluster, cluster.master))) as archive:
        modes = {entry.name: entry.mode for entry in archive}
        conf = archive.extractfile("etc/lab/node.conf")
        assert conf
        assert conf.read().decode() == boot.node_conf(cluster, cluster.master)
    assert modes == {
        "usr/local/sbin/lab-net": 0o755, "etc/systemd/system/lab-net.service": 0o644, "etc/lab/node.conf": 0o644
    }  # fmt: skip


def test_the_ports_of_machines_are_told_to_hosts_only(cluster: Cluster) -> None:
    assert "LAB_PORTS=53,5000,6443,10250,30000:32767\n" in boot.node_conf(cluster, cluster.master)
    other = clusters.init("lab")
    assert "LAB_PORTS" not in boot.node_conf(other, other.master)


def test_a_host_is_prepared_anew_when_a_machine_more_comes(cluster: Cluster, tmp_path: Path) -> None:
    before = prepare.digest(cluster, cluster.master, tmp_path)
    assert before == prepare.digest(cluster, cluster.master, tmp_path)
    more = inventory.kept(cluster) | {"agent2": Host(address="192.168.1.22")}
    assert prepare.digest(inventory.adopt(cluster, more), cluster.master, tmp_path) != before


def test_one_logs_in_as_the_inventory_says(cluster: Cluster) -> None:
    agent = cluster.machine("agent1")
    entry = login(cluster, agent)
    assert (entry.host, entry.port, entry.user, entry.key) == ("192.168.1.21", 2222, "ubuntu", Path("/keys/class"))
    words = Ssh(cluster, agent).shell_command("true")
    assert words[-2:] == ["ubuntu@192.168.1.21", "sudo -n -H -u root bash -c 'cd; true'"]
    assert words[words.index("-i") + 1] == "/keys/class"


def test_root_needs_no_sudo(cluster: Cluster) -> None:
    assert Ssh(cluster, cluster.master).shell_command("true")[-1] == "bash -c 'cd; true'"
    assert as_user("true", "root", 5, "root") == "timeout -k 5 5 sh -c true"
    assert as_user("true", "root", 5, "ubuntu").startswith("sudo -n -H -u root timeout")


def test_a_key_that_the_inventory_gives_is_pinned_and_no_other_taken(cluster: Cluster) -> None:
    known = KnownHosts(cluster.state / "ssh" / "known_hosts")
    entries = inventory.kept(cluster)
    del entries["agent1"]
    inventory.keep(cluster, entries)
    cluster.machines = [cluster.master]
    trust.ensure(cluster, None)
    assert known.pinned("class-master", "192.168.1.20:22") == KEY
    assert known.entry("class-master", "192.168.1.20:22", "192.168.1.20", 2222)[0] == "[192.168.1.20]:2222"
    known.pin("class-master", "192.168.1.20:22", KEY[:-2] + "6E")
    with pytest.raises(CommandFailed, match="hostKey is not the one in"):
        trust.ensure(cluster, None)


def test_a_key_that_nobody_knows_is_asked_about_or_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "offered", lambda machine, host: KEY)
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(CommandFailed, match='put into the inventory: "hostKey": "ssh-ed25519 AAAA'):
        trust.ensure(cluster, None)
    with pytest.raises(CommandFailed, match="not confirmed; nothing was changed"):
        trust.ensure(cluster, no)
    assert trust.fingerprint(KEY) in asked[0]
    trust.ensure(cluster, lambda question: True)


def test_a_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(KEY)
    command = ["ssh-keygen", "-lf", str(tmp_path / "key.pub")]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert trust.fingerprint(KEY).split()[0] in printed


def test_a_host_without_a_pinned_key_is_not_spoken_to(cluster: Cluster) -> None:
    with pytest.raises(Unreachable, match="none is known"):
        Ssh(cluster, cluster.machine("agent1")).connect(wait=0)


def test_hosts_are_not_put_to_sleep(cluster: Cluster) -> None:
    for verb in ("suspend", "resume"):
        with pytest.raises(CommandFailed):
            getattr(hosts.Hosts(cluster), verb)()


def test_hosts_come_from_an_inventory_only(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="labkit agent add --inventory"):
        clusters.init("class", 5)
    with pytest.raises(ClusterError, match="cannot become docker while its machines exist"):
        clusters.init("class", provider="docker")
    with pytest.raises(ClusterError, match="storage"):
        clusters.init("class", storage="glusterfs")


def test_each_cluster_has_a_token_of_its_own(cluster: Cluster) -> None:
    mine = inventory.identity(cluster)
    assert mine == inventory.identity(cluster)
    assert mine.split()[0] == "class"
    write_private(cluster.state / "identity", b"other\n")
    assert inventory.identity(cluster) != mine
