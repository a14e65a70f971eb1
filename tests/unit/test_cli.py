"""The command line: exit codes, messages that say what to do next, and questions before anything is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import cli
from labkit import cluster as clusters
from labkit.cluster import Machine
from labkit.provision import status as asking
from labkit.provision.errors import CommandFailed
from labkit.provision.facts import Facts, UnitFact
from labkit.provision.status import ClusterStatus, MachineStatus, watched_units


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("LABKIT_CLUSTER", raising=False)
    return tmp_path


def labkit(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["labkit", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "down",
        "destroy",
        "status",
        "packet",
        "lab play",
        "walkthrough",
        "ssh",
        "logs",
        "push",
        "kubeconfig",
        "doctor",
        "init",
        "rolling-update",
        "hollow",
        "fault kill",
        "fault partition",
        "fault slow",
        "fault heal",
    ],
)
def test_every_command_explains_itself(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labkit(monkeypatch, *command.split(), "--help") == 0
    assert "--cluster" in capsys.readouterr().out


def test_without_a_terminal_nothing_is_coloured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "--help"], capture_output=True, text=True, timeout=30, check=True,
        env={key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "PY_COLORS")},
    )  # fmt: skip
    assert "labkit up" in done.stdout
    assert "\x1b[" not in done.stdout


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_cluster_can_be_named_before_and_after_the_command(
    place: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--cluster", "other", "init"] if place == "before" else ["init", "--cluster", "other"]
    assert labkit(monkeypatch, *words, "--agents", "3") == 0
    written = json.loads((home / "other" / "cluster.json").read_text())
    assert [machine["name"] for machine in written["machines"]] == ["master", "agent1", "agent2", "agent3"]


def test_a_cluster_that_is_not_there_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labkit(monkeypatch, "status", "--cluster", "nope") == 2
    assert "labkit init --cluster nope" in capsys.readouterr().err


def test_a_faulty_cluster_json_is_named_with_file_and_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clusters.save(clusters.fresh("lab", "10.245.1.0/24"))
    path.write_text('{"name": "lab",\n  oops}')
    assert labkit(monkeypatch, "up") == 2
    assert f"{path}: line 2" in capsys.readouterr().err


def test_push_knows_what_can_be_pushed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clusters.init("lab")
    assert labkit(monkeypatch, "push", "kube-prox") == 2
    said = capsys.readouterr().err
    assert "kube-prox" in said
    assert "kube-apiserver" in said
    assert "etcd" not in said


def test_logs_knows_the_services(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clusters.init("lab")
    assert labkit(monkeypatch, "logs", "foo") == 2
    said = capsys.readouterr().err
    for name in ("foo", "kube-apiserver", "etcd", "docker", "lab-net"):
        assert name in said


def test_ssh_knows_the_machines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clusters.init("lab")
    assert labkit(monkeypatch, "ssh", "agent9") == 2
    assert "agent1" in capsys.readouterr().err


def test_a_failure_on_a_machine_shows_its_last_lines_and_exits_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters.init("lab")

    def down(cluster: clusters.Cluster) -> ClusterStatus:
        raise CommandFailed("agent1", "start kubelet", "systemctl restart kubelet", 1, "one\ntwo")

    monkeypatch.setattr(asking, "ask", down)
    assert labkit(monkeypatch, "status") == 3
    said = capsys.readouterr().err
    assert "agent1: start kubelet failed (exit code 1)" in said
    assert "| two" in said


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters.init("lab")

    def interrupted(cluster: clusters.Cluster) -> ClusterStatus:
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "ask", interrupted)
    assert labkit(monkeypatch, "status") == 130


def machine_status(machine: Machine, **states: str) -> MachineStatus:
    watched = watched_units(clusters.load("lab"), machine)
    units = {name: UnitFact(states.get(name.replace("-", "_"), "active"), enabled=True) for name in watched}
    return MachineStatus(
        machine, watched, Facts(units=units, memory_used=64 << 20), node="Ready" if machine.is_agent else ""
    )


def test_status_is_well_when_everything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = clusters.init("lab")
    monkeypatch.setattr(asking, "ask", lambda _: ClusterStatus([machine_status(each) for each in cluster.machines]))
    assert labkit(monkeypatch, "status") == 0
    said = capsys.readouterr().out
    assert "all is well" in said
    for word in ("master", "agent2", "kube-apiserver", "kube-dns", "docker", "64 MiB", "Ready"):
        assert word in said


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ({"kubelet": "failed"}, "agent1: kubelet is failed: labkit logs kubelet -m agent1"),
        ({"docker": "inactive"}, "agent1: docker is inactive"),
    ],
)
def test_status_names_what_is_not_well_and_what_to_type(
    harm: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = clusters.init("lab")
    found = [
        machine_status(cluster.master),
        machine_status(cluster.agents[0], **harm),
        machine_status(cluster.agents[1]),
    ]
    monkeypatch.setattr(asking, "ask", lambda _: ClusterStatus(found))
    assert labkit(monkeypatch, "status") == 1
    assert told in capsys.readouterr().out


def test_a_dead_machine_a_silent_node_and_a_silent_api_server_are_named() -> None:
    cluster = clusters.init("lab")
    silent = machine_status(cluster.agents[1])
    silent.node = "NotReady"
    found = ClusterStatus([MachineStatus(cluster.agents[0], trouble="cannot be reached"), silent], trouble="timed out")
    assert found.troubles() == ["kube-apiserver: timed out", "agent1: cannot be reached", "agent2: node is NotReady"]


def test_destroy_asks_first(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clusters.init("lab")
    monkeypatch.setattr("typer.confirm", lambda question: False)
    assert labkit(monkeypatch, "destroy") == 1
    assert "nothing was removed" in capsys.readouterr().out
    assert (home / "lab" / "cluster.json").exists()


def test_a_kubeconfig_needs_a_cluster_that_is_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters.init("lab")
    assert labkit(monkeypatch, "kubeconfig") == 2
    assert "labkit up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pod/client", "-"], "Quote the request"),
        (["pod/client", "web", "--jsn"], "--jsn"),
        (["client", "web"], "pod/NAME"),
        (["pod/client", "web", "--svg", "no/such/folder.svg"], "no folder no/such"),
    ],
)
def test_packet_teaches_what_it_was_not_told(
    words: list[str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters.init("lab")
    assert labkit(monkeypatch, "packet", *words) == 2
    assert expected in capsys.readouterr().err


def test_ctrl_c_while_the_command_line_is_loaded_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib.machinery import ModuleSpec

    from labkit import start

    class Interrupts:
        def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
            if name == "labkit.cli":
                raise KeyboardInterrupt
            return None

    monkeypatch.delitem(sys.modules, "labkit.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupts(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted: nothing was done yet\n"
