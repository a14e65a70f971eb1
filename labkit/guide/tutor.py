"""Leads a learner through a page: show, ask, run, check, and keep the progress after every part."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from labkit.guide import acts, engine
from labkit.guide.coach import Coach
from labkit.guide.desk import Desk
from labkit.guide.engine import Progress
from labkit.guide.format import Ask, Check, Code, Lab, Part, Question, Run, Step, Text
from labkit.guide.keys import Keys, Quit, StartOver
from labkit.guide.places import NowhereError, Place, Spot, typed_at
from labkit.guide.questions import Questions
from labkit.guide.screen import Screen
from labkit.guide.source import source_of
from labkit.guide.stage import Outcome, Stage, with_answers
from labkit.guide.vary import filled
from labkit.guide.words import Words
from labkit.provision.errors import CommandFailed

Done = TypeVar("Done")
MASTER = Place("machine", machine="master")


class Tutor:
    """`save` is called with the progress after every part, `labs` shows the list of labs."""

    def __init__(
        self, lab: Lab, stage: Stage, desk: Desk, screen: Screen, words: Words, save: Callable[[Progress], None],
        labs: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._lab, self._stage, self._desk, self._screen, self._words = lab, stage, desk, screen, words
        self._save = save
        self._coach = Coach(lab, stage, screen, words)
        self._keys = Keys(screen, words, self._shell, self._view, labs)
        self._questions = Questions(screen, words, self._keys)

    def lead(self, progress: Progress) -> None:
        """Until the end of the page. Raises Quit."""
        progress = engine.start(self._lab, progress)
        self._surely(partial(self._open, progress))
        shown = progress.step
        while (part := engine.present_part(self._lab, progress)) is not None:
            if progress.step != shown:
                shown = progress.step
                self._surely(partial(self._step_title, progress))
            try:
                progress = self._surely(partial(self._take, part, progress))
            except StartOver:
                progress = self._surely(partial(self._anew, progress))
            self._save(progress)
        self._save(progress)

    def _surely(self, what: Callable[[], Done]) -> Done:
        """Once more whenever a machine is gone, or the way to it, and the learner says that it is back. Raises Quit."""
        while True:
            try:
                return what()
            except CommandFailed as exc:
                self._screen.say(str(exc), "bad")
                self._screen.say(self._words("machines"), "hint")
                self._keys.again("lost?")

    def _open(self, progress: Progress) -> None:
        lab, words = self._lab, self._words
        if not progress.step and not progress.part:
            goals = "\n".join(f"- {goal}" for goal in lab.objectives)
            self._screen.title(lab.title, words("minutes", n=lab.minutes))
            self._screen.markdown(goals)
            self._prepare(lab.setups)
            return
        self._step_title(progress)
        before = engine.parts_here(lab, progress)[: progress.part]
        if before:
            self._screen.say(words("resumes"), "quiet")
        for part in before:
            if isinstance(part, Text):
                self._screen.markdown(part.markdown)
            elif isinstance(part, Run) and not part.hidden:
                self._screen.command(str(part.place), part.command, words("already"))

    def _step_title(self, progress: Progress) -> None:
        step = engine.present_step(self._lab, progress)
        if step:
            number = self._lab.steps.index(step) + 1
            self._screen.title(step.title, self._words("step", n=number, all=len(self._lab.steps)))
            if not progress.part:
                self._prepare(step.setups)

    def _prepare(self, setups: tuple[Run, ...]) -> None:
        for trouble in acts.each(self._stage, self._lab, setups):
            self._screen.say(self._words("setup-failed", what=trouble), "bad")

    def _anew(self, progress: Progress) -> Progress:
        """The present step once more, from its beginning: what it made is removed first."""
        step = engine.present_step(self._lab, progress)
        self._stage.bring(self._lab)  # files that the learner changed or lost
        for trouble in acts.each(self._stage, self._lab, step.resets if step else ()):
            self._screen.say(self._words("reset-failed", what=trouble), "bad")
        progress = engine.to_step(progress, progress.step)
        self._step_title(progress)
        return progress

    def _take(self, part: Part, progress: Progress) -> Progress:
        """Do one part; the progress behind it."""
        if isinstance(part, Text | Code):
            self._show(part, progress)
        elif isinstance(part, Run):
            if part.hidden:
                return self._learners_turn(part, progress)
            return self._run(part, progress)
        elif isinstance(part, Question):
            return self._question(part, progress)
        elif isinstance(part, Ask):
            return self._ask(part, progress)
        elif isinstance(part, Check):
            return self._check(part, progress)
        else:
            self._screen.say(self._words("picture", caption=part.caption, command=part.command), "quiet")
        return engine.advance(self._lab, progress)

    def _show(self, part: Text | Code, progress: Progress) -> None:
        if isinstance(part, Text):
            self._screen.markdown(part.markdown)
        else:
            source = filled(source_of(part, self._lab.path), self._lab.values)
            self._screen.code(part.language, source, part.source)
        if engine.pauses_after(engine.parts_here(self._lab, progress), progress.part):
            self._keys.press("next?", {""})

    def _shell(self, place: Place | None) -> None:
        spot = self._spot(place or MASTER)
        if spot:
            self._screen.say(self._words("shell", machine=spot.machine, lab=self._lab.name), "quiet")
            self._desk.shell(spot)

    def _view(self) -> None:
        try:
            self._screen.output(self._desk.view(self._lab.view))
        except NowhereError as exc:
            self._screen.say(self._words("nowhere", what=exc), "bad")

    def _spot(self, place: Place) -> Spot | None:
        try:
            return self._stage.find(place)
        except NowhereError as exc:
            self._screen.say(self._words("nowhere", what=exc), "bad")
            return None

    def _run(self, run: Run, progress: Progress) -> Progress:
        """Show the command, run it on Enter. When it ends otherwise than meant because of an earlier step: back to it,
        if the learner wants."""
        prompt, root = "run?", None
        while True:
            spot = self._spot(run.place)
            if spot:
                self._command(run, spot, progress)
            keys = {"", "k", "h"} | ({"b"} if root else set())
            while (typed := self._keys.press(prompt, keys, run.place)) == "h":
                progress = self._helped(typed, progress)
            if typed == "b" and root:
                return self._back_to(root, progress)
            if typed == "k":
                break
            outcome = self._desk.run(spot, run.command, run.timeout, progress.answers) if spot else None
            if outcome:
                self._output(outcome)
            if outcome and acts.as_meant(run, outcome):
                break
            self._coach.broken_units(("etcd", "kube-apiserver"))
            root = self._coach.root(engine.next_check(self._lab, progress), progress)
            prompt = "unexpected-root" if root else "unexpected"
        self._questions.judge(engine.predictions_for(engine.parts_here(self._lab, progress), progress.part))
        return engine.advance(self._lab, progress)

    def _learners_turn(self, solution: Run, progress: Progress) -> Progress:
        """The learner finds the command; what it must achieve is said before and checked after, and while waiting."""
        check = engine.next_check(self._lab, progress)
        spot = self._spot(solution.place)
        if spot:
            self._desk.at(spot)
        watch = partial(self._passes, check, progress) if check else None
        while (typed := self._keys.press("your-turn", {"", "c", "h", "s"}, solution.place, watch)) in ("h", "s"):
            progress = self._helped(typed, progress)
        return engine.advance(self._lab, progress)

    def _helped(self, typed: str, progress: Progress) -> Progress:
        if typed == "h":
            progress = self._coach.hint(progress)
            self._save(progress)
        elif self._keys.sure("solution-sure?"):
            self._coach.solution(progress)
        return progress

    def _command(self, run: Run, spot: Spot, progress: Progress) -> None:
        self._desk.at(spot)
        hand = self._words("typed-by-hand", machine=spot.machine) if self._desk.far else ""
        self._screen.command(
            str(spot), run.command if spot.container else with_answers(run.command, progress.answers), hand
        )
        if spot.container:
            self._screen.copyable(typed_at(spot, run.command))

    def _output(self, outcome: Outcome) -> None:
        self._screen.output(outcome.text)
        if outcome.rc:
            self._screen.say(self._words("exit", rc=outcome.rc), "quiet")

    def _question(self, question: Question, progress: Progress) -> Progress:
        def hint() -> None:
            nonlocal progress
            progress = self._helped("h", progress)

        self._questions.ask(question, hint)
        return engine.advance(self._lab, progress)

    def _ask(self, ask: Ask, progress: Progress) -> Progress:
        self._screen.markdown(ask.text)
        self._screen.say(self._words("find?"), "quiet")
        while True:
            given = self._screen.ask(self._words("finding?", name=ask.name))
            if given == "q":
                raise Quit
            if given == "t":
                self._shell(ask.answer.place)
            elif given == "h":
                progress = self._helped(given, progress)
            elif given in ("", "?"):
                self._screen.say(self._words("find?"), "quiet")
            else:
                return engine.advance(self._lab, progress, (ask.name, given))

    def _check(self, check: Check, progress: Progress) -> Progress:
        """Until it passes, or until the learner wants to go back."""
        while True:
            if check.within:
                self._screen.say(self._words("checking", n=check.within), "quiet")
            outcome = acts.check(self._stage, self._lab, check, progress.answers)
            if outcome.rc == 0:
                self._screen.say(self._words("passed"), "good")
                return engine.advance(self._lab, progress)
            root = self._coach.explain(check, outcome.text, progress)
            place = engine.workplace(engine.parts_here(self._lab, progress), progress.part) or check.place
            keys = {"", "c", "a", "h", "s"} | ({"b"} if root else set())
            watch = partial(self._passes, check, progress)
            while (typed := self._keys.press("check-root?" if root else "check?", keys, place, watch)) in ("h", "s"):
                progress = self._helped(typed, progress)
            if typed == "a":
                return engine.back_to_ask(self._lab, progress, check)
            if typed == "b" and root:
                return self._back_to(root, progress)

    def _passes(self, check: Check, progress: Progress) -> bool:
        try:
            return acts.check(self._stage, self._lab, check, progress.answers, within=0).rc == 0
        except CommandFailed:  # whoever watches does not mind; it is said when the learner does something
            return False

    def _back_to(self, root: Step, progress: Progress) -> Progress:
        """To the step that does not hold any more; what is left of it is removed, so that it can be done again."""
        self._stage.bring(self._lab)
        for trouble in acts.each(self._stage, self._lab, root.resets):
            self._screen.say(self._words("reset-failed", what=trouble), "bad")
        return engine.to_step(progress, root.id)
