"""Where the learner is and what comes next. Pure: no screen, no machines, no files.

    part 0 -> part 1 -> ... -> check -> (passed) -> debrief -> next step
                                 |
                                 +-- (failed) -> blame, hints, again

The parts of a step are taken in the order of the page; a check that failed is not left until it passes. What stands
behind a step's checks is therefore its debrief.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from labkit.guide.format import Ask, Check, Code, Hint, Lab, Part, Question, Run, Step, Text
from labkit.guide.places import Place


@dataclass(frozen=True)
class Progress:
    """One learner in one lab. `step` is a step's id ("" in the intro), `part` an index into its parts."""

    step: str = ""
    part: int = 0
    answers: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()  # ids of the steps whose checks all passed
    hints: int = 0  # hints seen in the present step
    finished: bool = False


def present_step(lab: Lab, progress: Progress) -> Step | None:
    """None in the intro, and when the step is not in the page any more."""
    return lab.step(progress.step)


def parts_here(lab: Lab, progress: Progress) -> tuple[Part, ...]:
    step = present_step(lab, progress)
    return step.parts if step else lab.intro


def present_part(lab: Lab, progress: Progress) -> Part | None:
    """What comes next; None when the lab is finished."""
    parts = parts_here(lab, progress)
    return None if progress.finished or progress.part >= len(parts) else parts[progress.part]


def start(lab: Lab, progress: Progress) -> Progress:
    """A place to go on from that exists in this version of the page."""
    if progress.finished or (progress.step and lab.step(progress.step) is None):
        progress = Progress()
    return _settle(lab, progress)


def advance(lab: Lab, progress: Progress, answer: tuple[str, str] | None = None) -> Progress:
    """The present part is done; `answer` is (name, text) when it was an Ask."""
    answers = {**progress.answers, answer[0]: answer[1]} if answer else progress.answers
    return _settle(lab, replace(progress, part=progress.part + 1, answers=answers))


def findings_in(lab: Lab, command: str) -> list[str]:
    """Names of findings (Ask) of the lab that the command uses, as $NAME or ${NAME}."""
    asked = [part.name for step in lab.steps for part in step.parts if isinstance(part, Ask)]
    return [name for name in asked if re.search(rf"\$\{{?{name}\b", command)]


def back_to_ask(lab: Lab, progress: Progress, check: Check) -> Progress:
    """Back to the question whose answer the check uses; else to the first command or question of the step."""
    parts = parts_here(lab, progress)
    used = findings_in(lab, check.command)
    asks = [i for i, part in enumerate(parts) if isinstance(part, Ask) and part.name in used]
    acts = [i for i, part in enumerate(parts) if isinstance(part, Ask) or (isinstance(part, Run) and not part.hidden)]
    return replace(progress, part=[*asks, *acts, 0][0])


def to_step(progress: Progress, step_id: str) -> Progress:
    """To the beginning of a step, to do it again: it has not passed any more."""
    passed = tuple(passed for passed in progress.passed if passed != step_id)
    return replace(progress, step=step_id, part=0, passed=passed, hints=0, finished=False)


def next_check(lab: Lab, progress: Progress) -> Check | None:
    """The check that the learner works for: the first one behind the present part."""
    return next((part for part in parts_here(lab, progress)[progress.part :] if isinstance(part, Check)), None)


def hint(lab: Lab, progress: Progress) -> tuple[Progress, Hint | None]:
    """The next hint of the present step of those that fit always; None when there are no more."""
    step = present_step(lab, progress)
    hints = [hint for hint in step.hints if hint.when is None] if step else []
    if progress.hints >= len(hints):
        return progress, None
    return replace(progress, hints=progress.hints + 1), hints[progress.hints]


def workplace(parts: Sequence[Part], index: int) -> Place | None:
    """Where the learner worked last before the part at `index`: there a shell opens."""
    return next((part.place for part in reversed(parts[:index]) if isinstance(part, Run)), None)


def pauses_after(parts: Sequence[Part], index: int) -> bool:
    """Whether the reader is left alone with this text or code until Enter: at the end of a step, and behind code,
    unless something follows that waits for them anyway."""
    following = parts[index + 1 :]
    return not following or (isinstance(parts[index], Code) and isinstance(following[0], Text | Code | Check))


def predictions_for(parts: Sequence[Part], index: int) -> list[Question]:
    """The predictions that the command at `index` decides: those between it and the command before it."""
    found: list[Question] = []
    for part in reversed(parts[:index]):
        if isinstance(part, Run | Check):
            break
        if isinstance(part, Question) and part.kind == "predict":
            found.insert(0, part)
    return found


def rests_on(lab: Lab, check: Check, step: Step) -> bool:
    """Whether the check needs what the step made, or what the learner found in it."""
    asked = {part.name for part in step.parts if isinstance(part, Ask)}
    return step.id in check.needs or bool(asked & set(findings_in(lab, check.command)))


def blamed_step(lab: Lab, check: Check, still_holds: Mapping[str, bool]) -> Step | None:
    """The earliest step on which the check rests and which no longer holds: the root, not the symptom."""
    broken = [step for step in earlier(lab, check) if not still_holds.get(step.id, True)]
    return broken[0] if broken else None


def earlier(lab: Lab, check: Check) -> list[Step]:
    """The steps before the check's own on which it rests."""
    own = next((i for i, step in enumerate(lab.steps) if check in step.checks), len(lab.steps))
    return [step for step in lab.steps[:own] if rests_on(lab, check, step)]


def percent(lab: Lab, progress: Progress) -> int:
    """How much of the lab is done, in steps passed."""
    return 100 if progress.finished else 100 * len(set(progress.passed)) // max(len(lab.steps), 1)


def _settle(lab: Lab, progress: Progress) -> Progress:
    """Note a step as passed behind its last check; leave it behind its last part."""
    while True:
        parts = parts_here(lab, progress)
        step = present_step(lab, progress)
        if (
            step
            and not any(isinstance(part, Check) for part in parts[progress.part :])
            and step.id not in progress.passed
        ):
            progress = replace(progress, passed=(*progress.passed, step.id))
        if progress.part < len(parts):
            return progress
        following = lab.steps[lab.steps.index(step) + 1 :] if step else lab.steps
        if not following:
            return replace(progress, finished=True)
        progress = replace(progress, step=following[0].id, part=0, hints=0)
