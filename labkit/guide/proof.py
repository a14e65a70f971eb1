"""`labkit lab NAME --play`: the lab, played by its own solution.

A lab proves itself when every check fails before its step and passes after it. Everything on the page is typed in its
order: the shown commands, the solutions in comments, the answers. The cluster is left as it was found.

A lab is tight when a learner who leaves out any one step (but the last) is told so by a later check that names it.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from labkit.guide import acts
from labkit.guide.format import Ask, Check, Lab, Part, Picture, Run, Step
from labkit.guide.places import NowhereError
from labkit.guide.stage import Outcome, Stage


@dataclass(frozen=True)
class Verdict:
    """One check: did it fail before its step, did it pass after it, in how many seconds, and what it said last."""

    step: str
    line: int
    failed_before: bool
    passed_after: bool
    seconds: float
    said: str = ""

    @property
    def good(self) -> bool:
        return self.failed_before and self.passed_after


PATIENCE = 20  # seconds for a check that is expected to fail
LOADED = 40  # seconds more than a learner's for one that is to pass: plays share their machine with other plays
Typed = Callable[[Run, Outcome], None]


class StepBroken(Exception):
    """A command of the page did not end as it should: the lab cannot go on."""

    def __init__(self, lab: Lab, run: Run, outcome: Outcome) -> None:
        self.outcome = outcome
        meant = "an error" if run.fails else "exit code 0"
        super().__init__(f"{lab.path}:{run.line}: exit code {outcome.rc}, expected {meant}: {outcome.text.strip()}")


def prove(
    stage: Stage, lab: Lab, verdict: Callable[[Verdict], None], typed: Typed = lambda run, outcome: None,
    drawn: Callable[[Picture], None] = lambda picture: None,
) -> bool:  # fmt: skip
    """True when every check of every step did as it must; `drawn` hears of each picture. Raises StepBroken."""
    answers: dict[str, str] = {}
    acts.ready_agents(stage, lab)
    _type(stage, lab, [*lab.setups], answers, lambda run, outcome: None)
    _type(stage, lab, [part for part in lab.intro if isinstance(part, Run)], answers, typed)
    good = True
    for step in lab.steps:
        good = _prove_step(stage, lab, step, answers, verdict, typed, drawn) and good
    return good


def _prove_step(
    stage: Stage, lab: Lab, step: Step, answers: dict[str, str], verdict: Callable[[Verdict], None], typed: Typed,
    drawn: Callable[[Picture], None],
) -> bool:  # fmt: skip
    _type(stage, lab, [*step.setups], answers, lambda run, outcome: None)
    before = {check: acts.check(stage, lab, check, answers, within=0).rc != 0 for check in step.checks}
    good = bool(step.checks)
    for part in step.parts:
        if isinstance(part, Run):
            _type(stage, lab, [part], answers, typed)
        elif isinstance(part, Ask):
            answers[part.name] = _type(stage, lab, [part.answer], answers, lambda run, outcome: None).text.strip()
        elif isinstance(part, Check):
            started = time.monotonic()
            after = acts.check(stage, lab, part, answers, within=part.within + LOADED)
            seconds = time.monotonic() - started
            found = Verdict(step.id, part.line, before[part], after.rc == 0, seconds, after.text.strip())
            verdict(found)
            good = good and found.good
        elif isinstance(part, Picture):
            drawn(part)
    return good


@dataclass(frozen=True)
class Skipped:
    """What happens to a learner who leaves out a step: the later step whose check fails ("" when none does), and the
    step that is named as the cause."""

    step: str
    fails_at: str = ""
    named: str = ""

    @property
    def good(self) -> bool:
        return self.step == self.named


def without_each(stage: Stage, lab: Lab) -> tuple[Skipped, ...]:
    """Play the lab once for each of its steps but the last, without that step; a reset before, between and after."""
    rows = []
    for step in lab.steps[:-1]:
        acts.reset(stage, lab)
        rows.append(prove_without(stage, lab, step))
    acts.reset(stage, lab)
    return tuple(rows)


def prove_without(stage: Stage, lab: Lab, skipped: Step) -> Skipped:
    """Play the lab without one of its steps, up to the first later check that fails."""
    answers: dict[str, str] = {}
    acts.ready_agents(stage, lab)
    acts.each(stage, lab, [*lab.setups, *(part for part in lab.intro if isinstance(part, Run))])
    number = lab.steps.index(skipped)
    for index, step in enumerate(lab.steps):
        acts.each(stage, lab, step.setups)
        for part in step.parts if step is not skipped else ():
            if isinstance(part, Check):
                if index > number and acts.check(stage, lab, part, answers, within=min(part.within, PATIENCE)).rc:
                    root = acts.root(stage, lab, part, answers)
                    return Skipped(skipped.id, step.id, root.id if root else "")
                if index < number:
                    acts.check(stage, lab, part, answers, within=part.within + LOADED)
            else:
                _try(stage, part, answers)
    return Skipped(skipped.id)


def _try(stage: Stage, part: Part, answers: dict[str, str]) -> None:
    """Do what the page says, whether or not it can be done without the step that was left out."""
    run = part.answer if isinstance(part, Ask) else part
    if not isinstance(run, Run):
        return
    with contextlib.suppress(NowhereError):
        found = acts.do(stage, run, answers)
        if isinstance(part, Ask):
            answers[part.name] = found.text.strip()


def _type(stage: Stage, lab: Lab, runs: list[Run], answers: dict[str, str], typed: Typed) -> Outcome:
    outcome = Outcome(0, "")
    for run in runs:
        try:
            outcome = acts.do(stage, run, answers)
        except NowhereError as exc:
            raise StepBroken(lab, run, Outcome(1, str(exc))) from exc
        typed(run, outcome)
        if not acts.as_meant(run, outcome):
            raise StepBroken(lab, run, outcome)
    return outcome
