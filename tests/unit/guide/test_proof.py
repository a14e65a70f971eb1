"""A lab proves itself: each check fails before its step and passes after it."""

import pytest

from labkit.guide.acts import check, ready_agents, reset
from labkit.guide.format import Check, Lab
from labkit.guide.places import Place
from labkit.guide.proof import Skipped, StepBroken, Verdict, prove, prove_without
from tests.unit.guide.pages import PAGE, FakeStage, page


def proved(lab: Lab) -> tuple[bool, list[Verdict]]:
    verdicts: list[Verdict] = []
    return prove(FakeStage(), lab, verdicts.append), verdicts


def test_a_good_lab() -> None:
    good, verdicts = proved(page())
    assert good
    assert [(v.step, v.failed_before, v.passed_after) for v in verdicts] == [("on", True, True), ("bright", True, True)]


def test_a_check_that_passes_before_its_step_proves_nothing() -> None:
    good, verdicts = proved(page(PAGE.replace("grep -q on lamp", "true")))
    assert not good
    assert (verdicts[0].failed_before, verdicts[0].passed_after) == (False, True)


def test_a_check_that_its_step_does_not_satisfy() -> None:
    good, verdicts = proved(page(PAGE.replace("touch bright", "true")))
    assert not good
    assert (verdicts[1].failed_before, verdicts[1].passed_after) == (True, False)


def test_a_step_without_a_check_is_not_proved() -> None:
    text = PAGE.replace("```sh check on=master within=1\ngrep -q on lamp\n```\n", "")
    assert not proved(page(text.replace("needs=on ", "")))[0]


def test_a_command_that_ends_otherwise_than_meant_stops_the_lab() -> None:
    with pytest.raises(StepBroken, match="exit code 1, expected exit code 0"):
        proved(page(PAGE.replace("echo on > lamp; cat lamp", "echo on > lamp; false")))
    with pytest.raises(StepBroken, match="expected an error"):
        proved(page(PAGE.replace("```sh on=master\necho on", "```sh on=master fails\necho on")))


def test_a_finding_that_is_not_given_is_a_check_not_passed() -> None:
    lab = page()
    stage = FakeStage()
    stage.run(stage.find(Place("machine", machine="master")), "echo on > lamp; touch bright", 5, {})
    wanted = lab.steps[1].checks[0]
    assert check(stage, lab, wanted, {}).rc != 0
    assert check(stage, lab, wanted, {"BRIGHT": "7"}).rc != 0
    assert check(stage, lab, wanted, {"BRIGHT": "2"}).rc == 0


def test_a_check_in_a_pod_that_is_not_there_has_not_passed() -> None:
    outcome = check(FakeStage(), page(), Check(Place("pod", pod="x"), "true", 1), {})
    assert (outcome.rc, outcome.text) == (1, "pod x: there is none")


def test_a_check_is_tried_again_until_its_time_is_over() -> None:
    tries = iter([0.0, 0.1, 0.2, 9.0])
    wanted = Check(Place("machine", machine="master"), "echo x >> tries; false", 1, within=1)
    stage = FakeStage()
    assert check(stage, page(), wanted, {}, clock=lambda: next(tries)).rc == 1
    assert stage.run(stage.find(wanted.place), "wc -l < tries", 5, {}).text.strip() == "3"


def test_reset_runs_what_the_page_says_and_tells_what_went_wrong() -> None:
    stage = FakeStage()
    assert reset(stage, page()) == []
    bad = page(PAGE.replace("rm -f lamp bright", "echo no; exit 3"))
    assert [trouble.endswith(": no") for trouble in reset(stage, bad)] == [True]


def test_a_step_left_out_is_named_by_a_later_check() -> None:
    lab = page()
    assert prove_without(FakeStage(), lab, lab.steps[0]) == Skipped("on", "bright", "on")


def test_a_step_that_can_be_left_out_unnoticed_is_found() -> None:
    lab = page(PAGE.replace("test -e bright && test", "test -e bright || test").replace("needs=on ", ""))
    found = prove_without(FakeStage(), lab, lab.steps[0])
    assert found == Skipped("on")
    assert not found.good


class Waking(FakeStage):
    """One more agent is Ready each time that one asks."""

    asked = 0

    def agents(self) -> list[str]:
        self.asked += 1
        return ["agent1", "agent2"][: self.asked]


def test_a_play_waits_for_its_agents() -> None:
    assert ready_agents(Waking(), page()) == ["agent1", "agent2"]
    assert ready_agents(Waking(), page(), within=0) == ["agent1"]
