"""docs/lifecycle.md against the lives that are played and what was recorded."""

from tests import lifecycle
from tests.lives import LIVES


def test_a_case_that_differs_has_its_reasons_and_no_other() -> None:
    lives = {life.name: life for life in LIVES}
    for name, case in lifecycle.cases().items():
        assert case.same(lives[name]) == (not case.differs), name


def test_every_reason_is_one_that_is_told_and_needed() -> None:
    used = {name for case in lifecycle.cases().values() for name in case.differs}
    assert used == set(lifecycle.reasons())


def test_all_nineteen_pods_that_were_recorded() -> None:
    assert len(lifecycle.cases()) == 19


def test_what_a_step_says_is_tested() -> None:
    missing = [test for step in lifecycle.steps() for test in step.tests if not lifecycle.has_test(test)]
    assert missing == []
    assert not lifecycle.has_test("unit/test_lifecycle.py:test_that_nobody_wrote")


def test_the_page_is_current() -> None:
    assert lifecycle.PAGE.read_text() == lifecycle.page(), "python -m tests.lifecycle writes it anew"
