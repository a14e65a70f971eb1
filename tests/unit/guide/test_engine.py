"""The state machine: where a learner is and what comes next."""

from labkit.guide import engine
from labkit.guide.engine import Progress
from labkit.guide.format import Check, Code, Text
from labkit.guide.places import Place
from tests.unit.guide.pages import page

LAB = page()


def walk(progress: Progress) -> list[tuple[str, str]]:
    """Every (step, kind of part) that a learner meets from here."""
    met = []
    while (part := engine.present_part(LAB, progress)) is not None:
        met.append((progress.step, type(part).__name__))
        progress = engine.advance(LAB, progress)
    return met


def test_all_parts_in_order() -> None:
    assert walk(engine.start(LAB, Progress())) == [
        ("", "Text"),
        *(("on", kind) for kind in ("Text", "Question", "Run", "Check", "Text")),
        *(("bright", kind) for kind in ("Question", "Ask", "Run", "Check", "Run")),
    ]


def test_a_step_counts_as_passed_behind_its_last_check_not_before() -> None:
    progress = Progress(step="on", part=3)
    assert engine.start(LAB, progress).passed == ()
    assert engine.advance(LAB, progress).passed == ("on",)


def test_resuming_goes_on_at_the_same_part() -> None:
    progress = Progress(step="on", part=2)
    assert engine.start(LAB, progress) == progress


def test_resuming_in_a_step_that_the_page_no_longer_has_begins_anew() -> None:
    assert engine.start(LAB, Progress(step="gone", part=7)) == engine.start(LAB, Progress())


def test_a_finished_lab_begins_anew() -> None:
    assert engine.start(LAB, Progress(step="bright", finished=True)) == engine.start(LAB, Progress())


def test_answers_are_kept_by_name() -> None:
    progress = engine.advance(LAB, Progress(step="bright", part=1), ("BRIGHT", "3"))
    assert progress.answers == {"BRIGHT": "3"}


def test_hints_come_one_by_one_and_end() -> None:
    progress, first = engine.hint(LAB, Progress(step="on"))
    assert first
    assert first.markdown == "Look for the *switch*."
    assert engine.hint(LAB, progress) == (progress, None)


def test_predictions_are_decided_by_the_next_command() -> None:
    parts = LAB.steps[0].parts
    assert [q.text for q in engine.predictions_for(parts, 2)] == ["What will it say?"]
    assert engine.predictions_for(LAB.steps[1].parts, 2) == []


def test_blame_goes_to_the_earliest_step_that_does_not_hold() -> None:
    check = LAB.steps[1].checks[0]
    assert engine.blamed_step(LAB, check, {"on": True}) is None
    assert engine.blamed_step(LAB, check, {"on": False}) == LAB.steps[0]


def test_back_leads_to_the_first_command_or_question_to_answer() -> None:
    uses_bright, uses_nothing = LAB.steps[1].checks[0], LAB.steps[0].checks[0]
    assert engine.back_to_ask(LAB, Progress(step="bright", part=3), uses_bright).part == 1
    assert engine.back_to_ask(LAB, Progress(step="on", part=3), uses_nothing).part == 2


def test_a_shell_opens_where_the_learner_worked_last() -> None:
    assert engine.workplace(LAB.steps[0].parts, 3) == Place("machine", machine="master")
    assert engine.workplace(LAB.steps[0].parts, 2) is None


def test_percent() -> None:
    assert engine.percent(LAB, Progress()) == 0
    assert engine.percent(LAB, Progress(passed=("on",))) == 50
    assert engine.percent(LAB, Progress(finished=True)) == 100


def test_the_debrief_is_what_stands_behind_the_check() -> None:
    parts = LAB.steps[0].parts
    assert isinstance(parts[3], Check)
    assert parts[4] == Text("It shines: the debrief.", parts[4].line)


def test_the_reader_is_left_alone_with_code_and_with_the_end_of_a_step() -> None:
    text, code, check, run = Text("t", 1), Code("python", "a.py:f", "", 2), LAB.steps[0].parts[3], LAB.steps[0].parts[2]
    assert [engine.pauses_after([text, code, text], i) for i in range(3)] == [False, True, True]
    assert not engine.pauses_after([text, check], 0)
    assert not engine.pauses_after([code, run], 0)
    assert engine.pauses_after([code, check], 0)
