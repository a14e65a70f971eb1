"""Suspended and resumed, snapshots, agents more or less, a newer labkit: what is decided, and the scripts."""

import io
import subprocess
import tarfile
import time
from pathlib import Path

import msgspec
import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster, ClusterError
from labkit.provision import agents, containers, snapshot, upgrade
from labkit.provision.facts import UnitFact
from labkit.provision.snapshot import About
from labkit.provision.vagrant import Vagrant
from tests.unit.provision.test_plan import MASTER_WANTED, PARCEL, well


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return clusters.init("lab")


# --- suspend and resume


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What docker was asked to change; its machines are in `states`."""
    asked: list[str] = []
    monkeypatch.setattr(containers, "_docker", lambda *words, timeout=60: asked.append(" ".join(words)) or "")
    return asked


def are(monkeypatch: pytest.MonkeyPatch, **states: str) -> None:
    monkeypatch.setattr(containers, "states", lambda cluster: states)


def test_agents_sleep_last_and_wake_first(cluster: Cluster, docker: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    are(monkeypatch, master="running", agent1="running", agent2="stopped")
    assert Vagrant(cluster).suspend() == ["master", "agent1"]
    are(monkeypatch, master="paused", agent1="paused", agent2="stopped")
    assert Vagrant(cluster).resume() == ["master", "agent1"]
    assert docker == ["pause lab-master lab-agent1", "unpause lab-agent1 lab-master"]


def test_nothing_sleeps_twice(cluster: Cluster, docker: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    are(monkeypatch, master="paused", agent1="paused", agent2="paused")
    assert Vagrant(cluster).suspend() == []
    are(monkeypatch, master="running", agent1="running", agent2="running")
    assert Vagrant(cluster).resume() == []
    assert docker == []


# --- agents


def test_an_agent_in_the_middle_can_go_and_its_number_never_comes_back(cluster: Cluster) -> None:
    agents.check(cluster, "agent1")
    cluster.machines.remove(cluster.machine("agent1"))
    clusters.save(cluster)
    after = clusters.init("lab", 2)
    assert [machine.name for machine in after.machines] == ["master", "agent2", "agent3"]
    assert after.machine("agent3").pod_subnet == 4


@pytest.mark.parametrize(
    ("name", "storage", "said"),
    [
        ("master", "", "is the master; expected one of agent1, agent2"),
        ("agent9", "", "there is no such machine; expected one of agent1, agent2"),
        ("agent1", "glusterfs", "keeps volumes; expected one of (none)"),
    ],
)
def test_what_cannot_be_spared_is_named(cluster: Cluster, name: str, storage: str, said: str) -> None:
    cluster.storage = storage
    with pytest.raises(ClusterError) as refused:
        agents.check(cluster, name)
    assert f"{name}: {said}" in str(refused.value)


def test_the_others_learn_a_route_and_nothing_else() -> None:
    """Though code and files of theirs are older than ours."""
    old = well(MASTER_WANTED)
    old.stamps, old.files = {}, {}
    decide = agents.others_learn_routes({"master"})
    titles = [action.title for action in decide(MASTER_WANTED, old, PARCEL)]
    assert titles == ["renew routes and names of the other machines"]
    assert decide(MASTER_WANTED, well(MASTER_WANTED), PARCEL) == []
    assert len(agents.others_learn_routes({"agent1"})(MASTER_WANTED, old, PARCEL)) > 3


# --- upgrade


def test_each_service_is_restarted_alone() -> None:
    facts = well(MASTER_WANTED)
    facts.stamps = {name: stamp for name, stamp in facts.stamps.items() if name == "lock"}
    titles = [action.title for action in upgrade.one_by_one(MASTER_WANTED, facts, PARCEL)]
    assert titles == ["install labkit's components", "start etcd", "start kube-apiserver", "start kube-scheduler"]


def test_only_what_differs_is_touched() -> None:
    assert upgrade.one_by_one(MASTER_WANTED, well(MASTER_WANTED), PARCEL) == []
    units = {name: UnitFact("active", "running", True) for name in MASTER_WANTED.unit_names()}
    units["kube-scheduler"] = UnitFact("failed")
    found = upgrade.one_by_one(MASTER_WANTED, well(MASTER_WANTED, units=units), PARCEL)
    assert [action.units for action in found] == [("kube-scheduler",)]


def test_who_did_not_run_through() -> None:
    before = {"u1 default/web": {"c": ("docker://a", 0)}, "u2 default/db": {"c": ("docker://b", 1)}, "u3 x/gone": {}}
    after = {"u1 default/web": {"c": ("docker://a", 0)}, "u2 default/db": {"c": ("docker://z", 2)}, "u4 x/new": {}}
    assert upgrade.disturbed(before, before) == []
    assert upgrade.disturbed(before, after) == ["default/db"]


# --- snapshots


def test_snapshots_are_listed_by_age_and_half_made_ones_are_none(cluster: Cluster) -> None:
    for name, when in (("second", 20.0), ("first", 10.0)):
        about = About(when, "1", "docker", ["master"])
        clusters.write_private(snapshot.folder(cluster, name) / "about.json", msgspec.json.encode(about))
    (snapshot.folder(cluster, ".third")).mkdir()
    (snapshot.folder(cluster, "fourth")).mkdir()
    assert list(snapshot.listed(cluster)) == ["first", "second"]
    with pytest.raises(ClusterError, match="no snapshot 'third'; expected one of first, second"):
        snapshot.about(cluster, "third")


@pytest.mark.parametrize("name", ["", "../x", "Upper", "a b", "-a", "a" * 41, ".hidden"])
def test_a_name_is_a_name(cluster: Cluster, name: str) -> None:
    with pytest.raises(ClusterError, match="expected small letters"):
        snapshot.check_name(cluster, name)


def test_one_of_another_provider_is_refused(cluster: Cluster) -> None:
    about = About(time.time(), "1", "libvirt", ["master"], whole=True)
    clusters.write_private(snapshot.folder(cluster, "x") / "about.json", msgspec.json.encode(about))
    with pytest.raises(ClusterError, match="saved with the provider libvirt"):
        snapshot.restore(cluster, "x", None)  # type: ignore[arg-type]


SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$LOG"
case "$1:$(cat "$DATA/default/member/snap/db" 2>/dev/null)" in start:broken) exit 1 ;; esac
exit 0
"""


class Master:
    """A folder in place of /var/lib/etcd, and a systemctl that cannot start etcd on data that is `broken`."""

    def __init__(self, root: Path) -> None:
        self.data, self.log, self.bin = root / "etcd", root / "log", root / "bin"
        self.bin.mkdir()
        (self.bin / "systemctl").write_text(SYSTEMCTL)
        (self.bin / "systemctl").chmod(0o755)
        self.write("now")

    def write(self, content: str) -> None:
        (self.data / "default/member/snap").mkdir(parents=True, exist_ok=True)
        (self.data / "default/member/snap/db").write_text(content)

    @property
    def content(self) -> str:
        return (self.data / "default/member/snap/db").read_text()

    def run(self, script: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        script = script.replace(snapshot.DATA, str(self.data))
        env = {"PATH": f"{self.bin}:/usr/bin:/bin", "LOG": str(self.log), "DATA": str(self.data)}
        return subprocess.run(["sh", "-c", script], input=given, env=env, capture_output=True, check=False)


def packed(content: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("default/member/snap/db")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


def test_the_copy_is_made_while_etcd_stands_still_and_it_runs_again(tmp_path: Path) -> None:
    import base64

    master = Master(tmp_path)
    done = master.run(snapshot.SAVE)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(done.stdout))) as archive:
        assert archive.extractfile("default/member/snap/db").read() == b"now"  # type: ignore[union-attr]
    assert master.log.read_text() == "stop kube-apiserver etcd\nstart etcd kube-apiserver\n"


def test_restored_data_take_the_place_of_what_is_there(tmp_path: Path) -> None:
    master = Master(tmp_path)
    assert master.run(snapshot.RESTORE, packed("then")).returncode == 0
    assert master.content == "then"
    assert [path.name for path in master.data.iterdir()] == ["default"]


@pytest.mark.parametrize("given", [b"", b"no tar at all", packed("then")[:60]], ids=["empty", "no tar", "cut off"])
def test_a_damaged_snapshot_changes_and_stops_nothing(tmp_path: Path, given: bytes) -> None:
    master = Master(tmp_path)
    assert master.run(snapshot.RESTORE, given).returncode != 0
    assert master.content == "now"
    assert not master.log.exists()


def test_data_with_which_etcd_does_not_start_give_way_to_what_was_there(tmp_path: Path) -> None:
    master = Master(tmp_path)
    done = master.run(snapshot.RESTORE, packed("broken"))
    assert done.returncode == 1
    assert b"what was before runs again" in done.stdout
    assert master.content == "now"
    assert master.log.read_text().splitlines()[-1] == "start etcd kube-apiserver"
