"""Commands and checks of a page, done on a stage."""

import time
from collections.abc import Callable, Mapping, Sequence

from labkit.guide.engine import blamed_step, earlier, findings_in
from labkit.guide.format import Check, Lab, Run, Step
from labkit.guide.places import NowhereError
from labkit.guide.stage import Outcome, Stage

CHECK_SECONDS = 20  # one try of a check
AGAIN = 0.5  # seconds between two tries
AGENT_SECONDS = 60  # in which a machine that was just away is Ready again


def do(stage: Stage, run: Run, answers: Mapping[str, str]) -> Outcome:
    """Raises NowhereError."""
    return stage.run(stage.find(run.place), run.command, run.timeout, answers)


def as_meant(run: Run, outcome: Outcome) -> bool:
    """A command with the flag `fails` must fail, any other must not."""
    return (outcome.rc != 0) == run.fails


def unanswered(lab: Lab, command: str, answers: Mapping[str, str]) -> list[str]:
    """Names of findings that the command uses and nobody has given yet."""
    return [name for name in findings_in(lab, command) if not answers.get(name)]


def check(
    stage: Stage, lab: Lab, wanted: Check, answers: Mapping[str, str], within: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:  # fmt: skip
    """Try until it passes, for `within` seconds (the check's own, unless told); the last outcome.
    A place that is not there, and a finding that is not given, is a check not passed."""
    if missing := unanswered(lab, wanted.command, answers):
        return Outcome(1, f"${missing[0]} ?")
    end = clock() + (wanted.within if within is None else within) * stage.patience
    while True:
        try:
            outcome = stage.run(stage.find(wanted.place), wanted.command, CHECK_SECONDS, answers)
        except NowhereError as exc:
            outcome = Outcome(1, str(exc))
        if outcome.rc == 0 or clock() >= end:
            return outcome
        time.sleep(AGAIN)


def ready_agents(
    stage: Stage, lab: Lab, within: float = AGENT_SECONDS, clock: Callable[[], float] = time.monotonic
) -> list[str]:
    """Who is Ready, as soon as they are as many as the lab needs, or after `within` seconds: what was played or reset
    before may have let one go silent."""
    end = clock() + within
    while len(agents := stage.agents()) < lab.agents and clock() < end:
        time.sleep(AGAIN)
    return agents


def root(stage: Stage, lab: Lab, failed: Check, answers: Mapping[str, str]) -> Step | None:
    """The earliest step on which a failed check rests and which does not hold (any more): the cause of its failure."""
    holds = {
        step.id: all(check(stage, lab, each, answers, within=0).rc == 0 for each in step.checks)
        for step in earlier(lab, failed)
    }
    return blamed_step(lab, failed, holds)


def reset(stage: Stage, lab: Lab) -> list[str]:
    """Remove what the lab made; what went wrong, one line per command."""
    return each(stage, lab, lab.resets)


def each(stage: Stage, lab: Lab, runs: Sequence[Run]) -> list[str]:
    """Run set-up or reset commands; what went wrong, one line per command."""
    troubles = []
    for run in runs:
        try:
            outcome = do(stage, run, {})
        except NowhereError as exc:
            outcome = Outcome(1, str(exc))
        if outcome.rc != 0:
            troubles.append(f"{lab.path.name}:{run.line}: {outcome.text.strip() or f'exit code {outcome.rc}'}")
    return troubles
