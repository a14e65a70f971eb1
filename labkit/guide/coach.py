"""The help that a learner can ask for: hints that fit what is the matter, the solution, why a check does not pass."""

from labkit.guide import acts, engine
from labkit.guide.engine import Progress
from labkit.guide.format import Check, Hint, Lab, Step
from labkit.guide.places import NowhereError, typed_at
from labkit.guide.screen import Screen
from labkit.guide.stage import Stage, with_answers
from labkit.guide.words import Words


class Coach:
    def __init__(self, lab: Lab, stage: Stage, screen: Screen, words: Words) -> None:
        self._lab, self._stage, self._screen, self._words = lab, stage, screen, words
        self._given: set[int] = set()  # lines of the hints that fitted and were given

    def hint(self, progress: Progress) -> Progress:
        """First those that fit what is found on the cluster now, then the others in their order."""
        if self._fitting(engine.present_step(self._lab, progress), progress):
            return progress
        progress, hint = engine.hint(self._lab, progress)
        if hint is None:
            self._screen.say(self._words("no-hint"), "quiet")
        else:
            self._show(hint)
        return progress

    def _fitting(self, step: Step | None, progress: Progress) -> bool:
        for hint in step.hints if step else ():
            if hint.when is None or hint.line in self._given:
                continue
            try:
                found = acts.do(self._stage, hint.when, progress.answers)
            except NowhereError:
                continue
            if found.rc == 0:
                self._given.add(hint.line)
                self._show(hint, found.text)
                return True
        return False

    def _show(self, hint: Hint, found: str = "") -> None:
        self._screen.say(self._words("hint"), "hint")
        self._screen.markdown(hint.markdown)
        self._screen.output(found)

    def solution(self, progress: Progress) -> None:
        """The commands of the step, as somebody would type them who knows."""
        step = engine.present_step(self._lab, progress)
        for run in step.solution if step else ():
            if run.reset:
                continue
            try:
                spot = self._stage.find(run.place)
            except NowhereError as exc:
                self._screen.say(self._words("nowhere", what=exc), "bad")
                continue
            self._screen.command(spot.machine, with_answers(typed_at(spot, run.command), progress.answers))

    def explain(self, check: Check, said: str, progress: Progress) -> Step | None:
        """Why the check may not have passed; the earlier step that does not hold any more, if that is the cause."""
        words = self._words
        self._screen.say(words("not-passed"), "bad")
        if said.strip():
            self._screen.say(words("said"), "quiet")
            self._screen.output(said)
        root = self.root(check, progress)
        if not root and (used := engine.findings_in(self._lab, check.command)):
            given = ", ".join(f"{name}={progress.answers.get(name, '')}" for name in used)
            self._screen.say(words("found", given=given), "hint")
        if not root and not self.broken_units(check.blames):
            for unit in check.blames:
                self._screen.say(words("blames", unit=unit), "hint")
        return root

    def root(self, check: Check | None, progress: Progress) -> Step | None:
        """The earlier step that does not hold any more and on which this check rests; says which it is."""
        root = acts.root(self._stage, self._lab, check, progress.answers) if check else None
        if root:
            self._screen.say(self._words("root", title=root.title), "hint")
        return root

    def broken_units(self, units: tuple[str, ...]) -> bool:
        """Says which of them do not run, and where; False when all do."""
        down = [(unit, machine, state) for unit in units for machine, state in self._stage.unit_states(unit).items()
                if state != "active"]  # fmt: skip
        for unit, machine, state in down:
            key = "gone" if state == "unreachable" else "down"
            self._screen.say(self._words(key, unit=unit, machine=machine, state=state), "bad")
        return bool(down)
