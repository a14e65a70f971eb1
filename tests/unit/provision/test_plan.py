"""facts -> difference -> commands, with literals: for a fresh machine, for one that is well, and what lies between."""

import io
import subprocess
import tarfile
from dataclasses import replace

import pytest

from labkit.cluster import Machine
from labkit.provision.desired import Desired
from labkit.provision.facts import Facts, FileFact, UnitFact
from labkit.provision.plan import Parcel, plan, tar
from labkit.provision.service import File, Service
from labkit.provision.wheels import Wheel

MASTER = Machine(name="master", roles=["master"], address="10.245.1.11", pod_subnet=1)
AGENT = Machine(name="agent1", roles=["agent"], address="10.245.1.12", pod_subnet=2)
CONF = File("/etc/lab/node.conf", b"LAB_NAME=x\n")
PARCEL = Parcel(Wheel("labkit-1-py3-none-any.whl", b"wheel", {}), lambda: b"tar of wheels")


def service(name: str, *files: File) -> Service:
    return Service(name, files or (File(f"/etc/{name}.env", b"ARGS=\n"),))


def machine(of: Machine, *services: Service, files: tuple[File, ...] = ()) -> Desired:
    return Desired(of, CONF, services, files, labkit="w1", lock="l1")


def well(wanted: Desired, **also: object) -> Facts:
    """The facts of a machine that is what it should be."""
    files = [wanted.boot_conf, *wanted.all_files()]
    facts = Facts(
        users=["root", "kube"],
        files={file.path: FileFact(file.digest, file.mode, f"{file.owner}:{file.owner}") for file in files},
        units={name: UnitFact("active", "running", True) for name in wanted.unit_names()},
        stamps={"lock": "l1 python3.11", "labkit": "w1"}
        | {f"unit-{each.name}": each.digest() for each in wanted.services},
        etcd_auth=True,
    )
    for name, value in also.items():
        setattr(facts, name, value)
    return facts


def titles(wanted: Desired, facts: Facts) -> list[str]:
    return [action.title for action in plan(wanted, facts, PARCEL)]


AGENT_WANTED = machine(AGENT, service("kube-proxy"), service("kubelet"))
MASTER_WANTED = machine(MASTER, service("etcd"), service("kube-apiserver"), service("kube-scheduler"))


@pytest.mark.parametrize("wanted", [AGENT_WANTED, MASTER_WANTED], ids=["agent", "master"])
def test_nothing_to_do(wanted: Desired) -> None:
    assert plan(wanted, well(wanted), PARCEL) == []


def test_a_fresh_agent_gets_everything_in_order() -> None:
    assert titles(AGENT_WANTED, Facts()) == [
        "renew routes and names of the other machines",
        "write 2 files",
        "install the components' dependencies for Python 3.11",
        "install labkit's components",
        "start kube-proxy, kubelet",
    ]


def test_a_fresh_master_starts_etcd_then_lets_users_in_then_the_api_server_then_the_rest() -> None:
    facts = Facts(images={"redis": "1-1"})
    assert titles(MASTER_WANTED, facts)[4:] == [
        "start etcd",
        "let etcd know its users",
        "start kube-apiserver",
        "start kube-scheduler",
        "push the image redis",
    ]


def test_only_what_comes_last_waits_for_the_api_server() -> None:
    needs = {action.title: action.needs for action in plan(MASTER_WANTED, Facts(), PARCEL)}
    assert needs["start kube-scheduler"] == "kube-apiserver"
    assert not needs["start kube-apiserver"]
    assert not needs["start etcd"]


def test_the_user_kube_is_made_before_its_services_start() -> None:
    wanted = machine(MASTER, Service("kube-dns", (), user="kube"))
    assert titles(wanted, Facts())[0] == "create the user kube"
    assert "create the user kube" not in titles(wanted, Facts(users=["kube"]))


def test_a_changed_file_is_written_and_restarts_the_service_that_lives_on_it_and_no_other() -> None:
    before = well(AGENT_WANTED)
    proxy, kubelet = AGENT_WANTED.services
    changed = replace(AGENT_WANTED, services=(proxy, replace(kubelet, files=(File("/etc/kubelet.env", b"ARGS=-v\n"),))))
    actions = plan(changed, before, PARCEL)
    assert [action.title for action in actions] == ["write 1 file", "start kubelet"]
    assert "systemctl restart kubelet;" in actions[1].command


@pytest.mark.parametrize(
    "found", [FileFact("0", 0o644, "root:root"), FileFact("=", 0o600, "root:root"), FileFact("=", 0o644, "kube:kube")]
)
def test_a_file_counts_by_content_mode_and_owner(found: FileFact) -> None:
    facts = well(AGENT_WANTED)
    path, fact = next(iter((p, f) for p, f in facts.files.items() if p != CONF.path))
    facts.files[path] = FileFact(found.digest.replace("=", fact.digest), found.mode, found.owner)
    assert titles(AGENT_WANTED, facts) == ["write 1 file", "start kube-proxy"]


def test_a_service_whose_file_was_written_is_started_by_the_next_run_if_this_one_ends_there() -> None:
    facts = well(AGENT_WANTED)
    del facts.files["/etc/kubelet.env"]
    assert plan(AGENT_WANTED, facts, PARCEL)[0].command.startswith("rm -f /opt/labkit/stamps/unit-kubelet && tar ")


def test_a_unit_file_makes_systemd_read_again() -> None:
    unit = File("/etc/systemd/system/kubelet.service", b"[Unit]\n")
    wanted = machine(AGENT, service("kubelet", unit))
    facts = well(wanted)
    del facts.files[unit.path]
    assert plan(wanted, facts, PARCEL)[0].command.endswith("systemctl daemon-reload")


def test_new_dependencies_mean_a_new_venv_and_labkit_again() -> None:
    facts = well(AGENT_WANTED)
    facts.stamps["lock"] = "l0 python3.11"
    assert titles(AGENT_WANTED, facts) == [
        "install the components' dependencies for Python 3.11",
        "install labkit's components",
    ]


def test_new_code_is_installed_without_the_dependencies() -> None:
    facts = well(AGENT_WANTED)
    facts.stamps["labkit"] = "w0"
    assert titles(AGENT_WANTED, facts) == ["install labkit's components"]


@pytest.mark.parametrize("unit", [UnitFact("failed", "failed", True), UnitFact("active", "running", False)])
def test_a_service_that_died_or_would_not_come_back_is_started(unit: UnitFact) -> None:
    facts = well(AGENT_WANTED)
    facts.units["kube-proxy"] = unit
    assert titles(AGENT_WANTED, facts) == ["start kube-proxy"]


def test_an_interrupted_start_is_made_up_for() -> None:
    """The file was written, but the run ended before the restart: the stamp tells."""
    facts = well(AGENT_WANTED)
    facts.stamps["unit-kubelet"] = "older"
    assert titles(AGENT_WANTED, facts) == ["start kubelet"]


def test_etcd_that_lost_its_users_gets_them_again() -> None:
    assert titles(MASTER_WANTED, well(MASTER_WANTED, etcd_auth=False)) == ["let etcd know its users"]


def test_an_image_is_pushed_once_and_again_when_it_is_another_or_has_gone() -> None:
    facts = well(MASTER_WANTED, images={"redis": "7-1"}, pushed=["redis"])
    facts.stamps["image-redis"] = "7-1"
    assert titles(MASTER_WANTED, facts) == []
    assert titles(MASTER_WANTED, well(MASTER_WANTED, images={"redis": "7-1"}, pushed=["redis"])) == [
        "push the image redis"
    ]
    facts.pushed = []
    assert titles(MASTER_WANTED, facts) == ["push the image redis"]


def test_agents_push_nothing() -> None:
    assert titles(AGENT_WANTED, well(AGENT_WANTED, images={"redis": "7-1"})) == []


def test_every_command_is_shell() -> None:
    for action in plan(MASTER_WANTED, Facts(images={"redis": "1-1"}), PARCEL):
        checked = subprocess.run(
            ["sh", "-n", "-c", action.command], capture_output=True, text=True, timeout=5, check=False
        )
        assert checked.returncode == 0, f"{action.title}: {checked.stderr}"


def test_the_tar_carries_modes_and_owners_by_name() -> None:
    made = tar([File("/etc/kubernetes/pki/a.key", b"secret", 0o600, "kube")])
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        entry = archive.getmembers()[0]
        assert (entry.name, entry.mode, entry.uname, entry.gname) == ("etc/kubernetes/pki/a.key", 0o600, "kube", "kube")
        content = archive.extractfile(entry)
        assert content is not None
        assert content.read() == b"secret"
