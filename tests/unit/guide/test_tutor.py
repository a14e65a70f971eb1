"""A learner led through a page: keys, mistakes, hints, blame, resuming."""

from string import Formatter

import pytest

from labkit.guide.desk import Plain
from labkit.guide.engine import Progress
from labkit.guide.keys import Quit
from labkit.guide.places import Spot
from labkit.guide.tutor import Tutor
from labkit.guide.words import WORDS, Words
from tests.unit.guide.pages import PAGE, FakeScreen, FakeStage, page

INTRO = [""]  # go on
STEP_ONE = [*INTRO, "b", "", ""]  # prediction, run, go on behind the debrief
STEP_TWO = ["a", "2", ""]  # quiz, finding, own work done


class Lesson:
    def __init__(self, typed: list[str], stage: FakeStage | None = None, text: str = PAGE) -> None:
        self.saved: list[Progress] = []
        self.screen = FakeScreen(typed)
        self.stage = stage or FakeStage()
        self.tutor = Tutor(page(text), self.stage, Plain(self.stage), self.screen, Words("en"), self.saved.append)

    def run(self, progress: Progress | None = None) -> "Lesson":
        try:
            self.tutor.lead(progress or Progress())
            self.finished = True
        except (Quit, EOFError):
            self.finished = False
        return self

    @property
    def last(self) -> Progress:
        return self.saved[-1]


def in_stage(stage: FakeStage, command: str) -> None:
    stage.run(Spot("master"), command, 5, {})


def test_from_beginning_to_end() -> None:
    # the learner types the solution of the second step in a shell of their own
    lesson = Lesson([*STEP_ONE, *STEP_TWO, "q"]).run()
    assert lesson.last.passed == ("on",)
    in_stage(lesson.stage, "touch bright")
    rest = Lesson(["c", ""], lesson.stage).run(lesson.last)
    assert rest.finished
    assert rest.last.finished
    assert "debrief" in lesson.screen.text


def test_the_output_then_the_verdict_on_the_prediction() -> None:
    lesson = Lesson(STEP_ONE).run()
    shown = lesson.screen.shown
    assert shown.index("on\n") < shown.index("You said b, and so it is.")
    wrong = Lesson([*INTRO, "a", "", ""]).run()
    assert "You said a. It is b. on" in wrong.screen.text
    assert "Because it was told to." in wrong.screen.text


def test_a_wrong_quiz_answer_is_asked_again() -> None:
    lesson = Lesson([*STEP_ONE, "b", "a", "2", "q"]).run()
    assert "Not b." in lesson.screen.text
    assert "Nothing is free." in lesson.screen.text


def test_a_question_is_answered_by_one_key_and_the_other_keys_are_those_of_everywhere() -> None:
    lesson = Lesson([*STEP_ONE, "", "h", "t", "b", "s", "a", "q"]).run()
    assert lesson.last.answers == {}
    assert lesson.last.part == 1  # behind the quiz
    assert lesson.stage.shells == ["master"]
    told = ["An answer first", "There are no more hints", "Not b.", "There is no solution to show", "a is right."]
    places = [lesson.screen.text.index(each) for each in told]
    assert places == sorted(places)
    assert not Lesson([*INTRO, "q"]).run().finished


def test_a_key_that_does_nothing_here_is_told_so_and_changes_nothing() -> None:
    lesson = Lesson(["c", "h", "s", "x", "k", "q"]).run()
    text = lesson.screen.text
    assert text.count("There is nothing to check here yet.") == 1
    assert text.count("There is no hint here") == 1
    assert text.count("There is no solution to show here") == 1
    assert text.count("That key does nothing here.") == 2
    assert text.count("n goes on") == 1  # the prompt still stands above
    assert lesson.saved == []


def test_a_hint_is_given_before_the_command_is_run_too() -> None:
    lesson = Lesson([*INTRO, "b", "h", "c", "q"]).run()
    assert "Look for the *switch*." in lesson.screen.text
    assert "There is nothing to check here yet." in lesson.screen.text
    assert lesson.last.hints == 1
    assert not lesson.last.passed


def test_work_of_ones_own_is_checked_by_c() -> None:
    lesson = Lesson([*STEP_ONE, "a", "2", "c", "q"]).run()
    assert "Not passed yet." in lesson.screen.text


def test_a_finding_that_is_empty_asks_again_and_says_how() -> None:
    lesson = Lesson([*STEP_ONE, "a", "", "?", "2", "q"]).run()
    assert lesson.screen.text.count("Type what you found") == 3
    assert lesson.last.answers == {"BRIGHT": "2"}


def test_quit_keeps_the_place_and_resuming_shows_what_came_before() -> None:
    first = Lesson([*INTRO, "b", "q"]).run()
    assert (first.last.step, first.last.part) == ("on", 2)
    again = Lesson(["", "", "q"], first.stage).run(first.last)
    assert "The lamp is a file." in again.screen.text
    assert again.last.passed == ("on",)


def test_a_failed_check_blames_the_unit_and_a_hint_is_given_on_request() -> None:
    text = PAGE.replace("within=1", "blames=kube-proxy").replace("echo on > lamp; cat lamp", "true")
    lesson = Lesson([*INTRO, "b", "", "h", "h", "q"], text=text)
    lesson.stage.units["kube-proxy"] = {"agent1": "active"}
    lesson.run()
    assert "labkit logs kube-proxy" in lesson.screen.text
    assert "Look for the *switch*." in lesson.screen.text
    assert "There are no more hints." in lesson.screen.text
    assert lesson.last.hints == 1


def test_a_failed_check_names_a_unit_that_is_not_running_instead_of_those_that_are() -> None:
    text = PAGE.replace("within=1", "blames=kube-scheduler,kube-proxy").replace("echo on > lamp; cat lamp", "true")
    lesson = Lesson([*INTRO, "b", "", "q"], text=text)
    lesson.stage.units = {
        "kube-scheduler": {"master": "active"},
        "kube-proxy": {"agent1": "active", "agent2": "failed"},
    }
    lesson.run()
    assert "kube-proxy on agent2 is failed" in lesson.screen.text
    assert "agent1" not in lesson.screen.text
    assert "labkit logs" not in lesson.screen.text


def test_a_failed_check_names_the_earlier_step_that_does_not_hold() -> None:
    lesson = Lesson([*STEP_ONE, *STEP_TWO, "q"])
    lesson.run()
    assert 'step "Switch it on" does not hold any more' not in lesson.screen.text
    stage = lesson.stage
    in_stage(stage, "echo dark > lamp")
    again = Lesson(["c", "q"], stage).run(lesson.last)
    assert 'step "Switch it on" does not hold any more' in again.screen.text


def test_a_wrong_finding_can_be_given_again() -> None:
    stage = FakeStage()
    in_stage(stage, "touch bright")
    lesson = Lesson([*STEP_ONE, "a", "7", "", "a", "2", "", ""], stage).run()
    assert "You found BRIGHT=7." in lesson.screen.text
    assert lesson.last.answers == {"BRIGHT": "2"}
    assert lesson.last.passed == ("on", "bright")


def test_the_learner_finds_the_command_with_hints_and_a_shell() -> None:
    lesson = Lesson([*STEP_ONE, "a", "2", "h", "t", "", "q"]).run()
    assert "There are no more hints." in lesson.screen.text
    assert "touch bright" not in lesson.screen.text
    assert lesson.stage.shells == ["master"]


def test_a_shell_opens_on_the_machine_of_the_command() -> None:
    lesson = Lesson([*INTRO, "b", "t", "q"]).run()
    assert lesson.stage.shells == ["master"]


def test_a_command_that_ends_with_an_error_is_tried_again_or_left_alone() -> None:
    text = PAGE.replace("echo on > lamp; cat lamp", "test -e x || { touch x; exit 4; }; echo on > lamp")
    lesson = Lesson([*INTRO, "b", "", "", "", "q"], text=text).run()
    assert "(exit code 4)" in lesson.screen.text
    assert lesson.last.passed == ("on",)


def test_a_pod_that_is_not_there_is_said_and_can_be_waited_for() -> None:
    text = PAGE.replace("```sh on=master\necho on", "```sh on=pod/x\necho on")
    lesson = Lesson([*INTRO, "b", "", "q"], text=text).run()
    assert "cannot be found: pod x: there is none" in lesson.screen.text
    assert lesson.last.part == 2


FITTING = """<!-- when on=master
test -e wet && echo "the lamp is wet"
-->

<details>
<summary>Hint</summary>

Dry it.

</details>

<details>
<summary>Hint</summary>
"""


def test_a_hint_that_fits_what_is_found_comes_first_with_what_was_found() -> None:
    text = PAGE.replace("<details>\n<summary>Hint</summary>\n", FITTING, 1).replace("echo on > lamp; cat lamp", "true")
    dry = Lesson([*INTRO, "b", "", "h", "h", "q"], text=text.replace("within=1", "")).run()
    assert "Dry it." not in dry.screen.text
    stage = FakeStage()
    in_stage(stage, "touch wet")
    wet = Lesson([*INTRO, "b", "", "h", "h", "q"], stage, text=text.replace("within=1", "")).run()
    shown = wet.screen.shown
    assert shown.index("Dry it.") < shown.index("the lamp is wet\n") < shown.index("Look for the *switch*.")


def test_a_step_begun_anew_is_prepared_again_and_loses_what_it_made() -> None:
    text = PAGE.replace("The lamp is a file.", "The lamp is a file.\n\n<!-- setup on=master\necho >> setups\n-->")
    text = text.replace("It shines: the debrief.", "<!-- reset on=master\nrm lamp\n-->\n\nIt shines.")
    lesson = Lesson([*INTRO, "b", "", "r", "y", "b", "q"], text=text).run()
    assert (lesson.last.step, lesson.last.part, lesson.last.passed) == ("on", 2, ())
    assert lesson.stage.run(Spot("master"), "wc -l < setups; ls", 5, {}).text.split() == ["2", "setups"]


def test_the_solution_is_shown_after_asking() -> None:
    refused = Lesson([*STEP_ONE, "a", "2", "s", "x", "q"]).run()
    assert "touch bright" not in refused.screen.text
    shown = Lesson([*STEP_ONE, "a", "2", "s", "y", "q"]).run()
    assert "touch bright" in shown.screen.text


def test_what_is_done_elsewhere_is_noticed() -> None:
    """The check behind a task is watched while the learner works in another terminal."""
    stage = FakeStage()
    lesson = Lesson([*STEP_ONE, "a", "2"], stage)
    in_stage(stage, "touch bright")
    assert lesson.run(Progress()).last.passed == ("on", "bright")


def test_the_way_back_to_the_step_that_does_not_hold() -> None:
    first = Lesson([*STEP_ONE, *STEP_TWO, "q"]).run()
    in_stage(first.stage, "echo dark > lamp")
    again = Lesson(["b", "q"], first.stage).run(first.last)
    assert (again.last.step, again.last.part, again.last.passed) == ("on", 1, ())  # the question that follows the text


def fields(text: str) -> set[str]:
    return {name.partition(":")[0] for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("lang", WORDS)
def test_both_languages_say_the_same_things(lang: str) -> None:
    assert {key: fields(text) for key, text in WORDS[lang].items()} == {
        key: fields(text) for key, text in WORDS["en"].items()
    }
