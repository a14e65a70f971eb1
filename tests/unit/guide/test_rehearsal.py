"""`make labs`: what is played, what is kept of it, and what has drifted."""

from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import REPOSITORY as ROOT
from labkit.cluster import Cluster
from labkit.guide import choice, lint, machines, playbill, played
from labkit.guide.drift import drift
from labkit.guide.format import Lab
from labkit.guide.parse import parse
from labkit.guide.played import Played
from labkit.guide.proof import Skipped
from labkit.guide.rehearsal import rehearse
from tests.unit.guide.pages import PAGE, FakeStage, page

SECONDS = {"redis-master": 20.0, "a": 100.0, "b": 100.0, "c": 100.0, "long": 900.0}


def test_the_choice_is_the_seeds_and_fits_its_minutes() -> None:
    chosen = choice.choose(SECONDS, "one seed", 240)
    assert chosen == choice.choose(SECONDS, "one seed", 240)
    assert chosen[0] == "redis-master"
    assert len(chosen) == 3
    assert "long" not in chosen
    others = {tuple(sorted(choice.choose(SECONDS, str(seed), 240)[1:])) for seed in range(40)}
    assert others == {("a", "b"), ("a", "c"), ("b", "c")}  # every lab has its turn


def test_a_wish_is_played_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.WISH, "etcd, dns")
    assert choice.chosen_labs() == ["etcd", "dns"]


class Credentials:
    """Machines whose kubectl answers only once the namespace was entered."""

    def __init__(self, cluster: Cluster, lab: str, namespace: str) -> None:
        self.entered = not namespace

    def enter_namespace(self) -> None:
        self.entered = True

    def agents(self) -> list[str]:
        return ["agent1", "agent2"] if self.entered else []

    def bring(self, lab: Lab) -> None: ...

    def leave_namespace(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("namespace", ["", "lab-etcd"])
def test_the_nodes_are_asked_for_with_credentials(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "Machines", Credentials)
    with machines.on_stage(clusters.read(ROOT / "cluster.json"), page(), namespace) as stage:
        assert stage.agents()


def test_a_rehearsal_of_a_good_lab() -> None:
    found = rehearse(FakeStage(), page(), skip=True, say=pytest.fail)
    assert found.good
    assert found.tight
    assert (found.checks, found.failed_before, found.passed_after, found.drift) == (2, 2, 2, 0)
    assert found.skips == (Skipped("on", "bright", "on"),)


def test_a_rehearsal_says_what_did_not_do_as_it_must() -> None:
    said: list[str] = []
    found = rehearse(FakeStage(), page(PAGE.replace("grep -q on lamp", "true")), skip=False, say=said.append)
    assert not found.good
    assert (found.failed_before, found.passed_after) == (1, 2)
    assert "passed before its step" in said[0]
    broken = rehearse(FakeStage(), page(PAGE.replace("cat lamp\n", "cat lump\n")), skip=False, say=said.append)
    assert not broken.good
    assert "No such file" in broken.trouble


def test_an_output_that_drifted_is_shown() -> None:
    said: list[str] = []
    assert rehearse(FakeStage(), page(PAGE.replace("```output\non", "```output\noff")), False, said.append).drift == 1
    assert said[0].splitlines()[1:] == ["- off", "+ on"]


POD = "redis-master-j8qop   1/1   Running   0   12s   10.244.3.2   agent2"


@pytest.mark.parametrize(
    ("recorded", "printed"),
    [
        (POD, "redis-master-x7f2k   0/1   ContainerCreating   0   1m30s   <none>   agent1"),
        ("k8s_POD.b3ff1f63_web-jvwnc_default_774db7bb-41bc", "k8s_POD.98c76adf_web-3ryt1_default_af88e763-23bf"),
        ("port 34273, 2026-11-22T15:37:25Z", "port 41000, 2026-11-23T01:02:03.5Z"),
        ("uid b136a396-092f-4887-bacf-697b98689160", "uid 00000000-092f-4887-bacf-697b98689160"),
        ("one\ntwo\n", "two\n\none"),
        ("Created in 4 milliseconds", "Created in 18 milliseconds"),
    ],
)
def test_ages_names_and_ports_are_no_drift(recorded: str, printed: str) -> None:
    assert drift(recorded, printed) == []


@pytest.mark.parametrize(
    ("recorded", "printed", "lines"),
    [
        (POD, POD.replace("Running", "Error"), 2),
        ("k8s_POD.b3ff1f63_show  Up", "k8s_store.98c76adf_show  Up", 2),
        ("service/web created", "service/web configured", 2),
        ("a\nb", "a", 1),
        ("a", "", 1),
    ],
)
def test_other_words_and_lines_are_drift(recorded: str, printed: str, lines: int) -> None:
    assert len(drift(recorded, printed)) == lines


def test_what_was_found_is_kept_beside_the_lab(tmp_path: Path) -> None:
    path = tmp_path / "lab.md"
    assert played.load(path) is None
    skipped = Played("d", 3.0, 2, 2, 2, skips=(Skipped("on", "bright", "on"),))
    played.save(path, skipped)
    assert played.load(path) == skipped
    played.save(path, Played("d", 4.0, 2, 2, 2))
    assert (again := played.load(path))
    assert (again.seconds, again.skips) == (4.0, skipped.skips)
    played.save(path, Played("other commands", 4.0, 2, 2, 2))
    assert (new := played.load(path))
    assert new.skips == ()
    chinese = tmp_path / "lab.zh.md"
    assert played.load(chinese) is None
    played.save(chinese, skipped)
    assert {each.name for each in tmp_path.iterdir()} == {"played.json", "played.zh.json"}
    assert played.load(tmp_path / "alone.md") is None


def test_the_digest_is_of_commands_not_of_prose() -> None:
    lab = page()
    assert played.digest(page(PAGE.replace("Once upon a time", "Today"))) == played.digest(lab)
    assert played.digest(page(PAGE.replace("touch bright", "touch  bright"))) != played.digest(lab)
    assert played.digest(page(PAGE.replace("rm -f lamp", "rm -rf lamp"))) != played.digest(lab)


def test_a_verdict_on_one_line() -> None:
    assert "2/2 passed after" in playbill.verdict(Played("d", 3.0, 2, 2, 2))
    assert "NOT GOOD" in playbill.verdict(Played("d", 3.0, 2, 1, 2))
    assert "BROKEN" in playbill.verdict(Played("d", trouble="no agent"))


def test_the_page_lists_every_lab() -> None:
    assert "(`redis-master`)" in playbill.page()
    assert "`follow-a-pod`" in playbill.page()


def test_a_lab_played_beside_others_may_not_say_default(tmp_path: Path) -> None:
    path = tmp_path / "lab.md"
    text = PAGE.replace("reads: []", "reads: []\nparallel: true")
    path.write_text(text.replace("cat lamp\n", "cat lamp  # default\n"))
    lab = parse(path, "lamp")
    assert lab.parallel
    (line,) = [line for line, fault in lint.faults_of(lab) if "names the namespace default" in fault]
    assert line == lab.steps[0].parts[2].line
