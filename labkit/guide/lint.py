"""`labkit lab check FILE`: is this page a lab that a learner can work through? Every fault with its line.

What cannot be read at all is one fault (parse.py stops there); what can be read is looked at as a whole: sizes, checks,
hints, debriefs, names of code, steps on which nothing rests, and whether the other language does the same.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from labkit.cluster import find
from labkit.guide import catalog, engine
from labkit.guide.format import Ask, Check, Code, Lab, LabError, Part, Picture, Question, Run, Step, Text
from labkit.guide.parse import parse
from labkit.guide.pictures import fault_of
from labkit.guide.rewrite import parts_of
from labkit.guide.source import definition, source_of

MINUTES, STEPS = (15, 30), (4, 8)
Fault = tuple[int, str]  # line (0: the whole page), what is wrong and what was expected
# `labkit/components/kubelet/env.py:variables_of` or `labkit/guide/` in running text
_NAMED = re.compile(r"`(labkit/[\w/]+(?:\.py)?)(?::([\w.]+))?`")


def run(path: Path) -> int:
    """0 when nothing is wrong; the faults, one per line, on standard error."""
    try:
        lab = parse(path, catalog.name_of(path))
        faults = sorted([*faults_of(lab), *against_others(lab)])
    except LabError as exc:
        print(exc, file=sys.stderr)
        return 2
    for line, fault in faults:
        print(f"{path}:{line}: {fault}" if line else f"{path}: {fault}", file=sys.stderr)
    if not faults:
        checks = sum(len(step.checks) for step in lab.steps)
        print(f"{path}: a lab of {len(lab.steps)} steps with {checks} checks, {lab.minutes} minutes")
    return 2 if faults else 0


def faults_of(lab: Lab) -> Iterator[Fault]:
    """What is wrong with one page; a walkthrough has no checks and any length."""
    yield from _page(lab)
    if lab.path.parent.name != catalog.WALKTHROUGHS.name:
        yield from _sizes(lab)
        yield from _steps(lab)
        yield from _alone(lab)


def _page(lab: Lab) -> Iterator[Fault]:
    yield from _named(lab)
    machines = ["master", *(f"agent{number}" for number in range(1, lab.agents + 1))]
    for run in [
        *parts_of(lab),
        *lab.setups,
        *lab.undo,
        *(run for step in lab.steps for run in step.setups + step.undo),
    ]:
        if isinstance(run, Run | Check) and run.place.kind == "machine" and run.place.machine not in machines:
            yield run.line, f"on={run.place.machine}: no machine of this lab; expected one of {', '.join(machines)}"
    for part in parts_of(lab):
        if isinstance(part, Run) and not part.hidden and not (part.recorded and part.recorded.body.strip()):
            yield part.line, f"a command without its recorded output; python -m labkit.guide.record {lab.name}"
        if isinstance(part, Picture) and (fault := fault_of(part, lab.path)):
            yield part.line, f"{fault}; python -m labkit.guide.record {lab.name}"
        if isinstance(part, Ask) and lab.path.parent.name == catalog.WALKTHROUGHS.name:
            yield part.line, "a walkthrough asks its audience nothing; expected a quiz or a predict"
        if isinstance(part, Code) and part.body != source_of(part, lab.path):
            yield part.line, f"differs from {part.source}; python -m labkit.guide.record --code {lab.name}"


def _steps(lab: Lab) -> Iterator[Fault]:
    for step in lab.steps:
        if not step.checks:
            yield step.line, f"step {step.id} has no check; expected a block `sh check on=PLACE`"
        if not step.hints:
            yield step.line, f"step {step.id} has no hint; expected <details>"
        if not isinstance(step.parts[-1], Text):
            yield step.line, f"step {step.id} ends without a debrief; expected text behind its checks"
    for number, step in enumerate(lab.steps[:-1]):
        if not any(engine.rests_on(lab, check, step) for later in lab.steps[number + 1 :] for check in later.checks):
            # It could be skipped without anybody noticing.
            yield step.line, f"no later check needs step {step.id}; expected needs={step.id} on one that rests on it"


def _alone(lab: Lab) -> Iterator[Fault]:
    """A lab that is played beside others in a namespace of its own may not say that it is in `default`."""
    for run in [part for part in parts_of(lab) if isinstance(part, Run | Check)] if lab.parallel else ():
        if re.search(r"\bdefault\b", run.command):
            yield (
                run.line,
                "names the namespace default in a lab with `parallel: true`; expected kubectl's own namespace",
            )


def _sizes(lab: Lab) -> Iterator[Fault]:
    if not MINUTES[0] <= lab.minutes <= MINUTES[1]:
        yield 1, f"{lab.minutes} minutes; expected {MINUTES[0]} to {MINUTES[1]}"
    if not STEPS[0] <= len(lab.steps) <= STEPS[1]:
        yield 0, f"{len(lab.steps)} steps; expected {STEPS[0]} to {STEPS[1]}"
    if not lab.resets:
        yield 0, "nothing removes what the lab made; expected <!-- reset on=PLACE ... -->"


def _named(lab: Lab) -> Iterator[Fault]:
    """Functions and files of labkit that the text names."""
    for number, line in enumerate(lab.path.read_text(encoding="utf-8").splitlines(), 1):
        for file_name, function in _NAMED.findall(line):
            path = find(file_name)
            if not path.exists():
                yield number, f"names {file_name}, which does not exist"
            elif function and not definition(path.read_text(encoding="utf-8"), function):
                yield number, f"names {function}, which {file_name} does not have"
    for file_name in lab.reads:
        if not (find(file_name)).is_file():
            yield 1, f"reads {file_name}, which does not exist"


def bones(part: Part) -> object:
    """What must be the same in every language: all but the prose."""
    match part:
        case Run(place, command, _, timeout, fails, reset, hidden, recorded):
            return ("run", str(place), command, timeout, fails, reset, hidden, recorded and recorded.body)
        case Check(place, command, _, within, needs, blames):
            return ("check", str(place), command, within, needs, blames)
        case Question(kind, _, choices, right):
            return (kind, list(choices), right)
        case Ask(name, _, answer):
            return ("ask", name, str(answer.place), answer.command)
        case Code(language, source, body):
            return ("code", language, source, body)
        case Picture(command, file):
            return ("picture", command, file)
        case Text():
            return "text"


def against_others(lab: Lab) -> Iterator[Fault]:
    """Whether each language has the same commands, checks and code in the same order."""
    english = lab.path.with_name(lab.path.name.replace(".zh.md", ".md"))
    for path in catalog.languages_of(english):
        other = parse(path, lab.name)
        mine, theirs = parts_of(lab), parts_of(other)
        if (lab.minutes, lab.agents, lab.labs, lab.reads, lab.varies, lab.view) != (
            other.minutes, other.agents, other.labs, other.reads, other.varies, other.view):  # fmt: skip
            yield 1, f"front matter differs from {path.name}"
        differing = [a for a, b in zip(mine, theirs, strict=False) if bones(a) != bones(b)]
        if differing:
            yield differing[0].line, f"differs from {path.name} from here on"
        elif len(mine) != len(theirs) or [step.id for step in lab.steps] != [step.id for step in other.steps]:
            yield 0, f"{len(lab.steps)} steps and {len(mine)} parts; {path.name} has {len(other.steps)}, {len(theirs)}"
        hidden = [[_hidden(step) for step in page.steps] for page in (lab, other)]
        notes = [[len(page.notes), *(len(step.notes) for step in page.steps)] for page in (lab, other)]
        if notes[0] != notes[1]:
            yield 0, f"the speaker's notes differ in number from those of {path.name}"
        if hidden[0] != hidden[1]:
            yield 0, f"set-ups, resets or conditions of hints differ from {path.name}"


def _hidden(step: Step) -> list[tuple[str, str]]:
    runs = (*step.setups, *step.undo, *(hint.when for hint in step.hints if hint.when))
    return [(str(run.place), run.command) for run in runs]
