"""Leads a learner through a page: show, ask, run, check, and keep the progress after every part."""

from collections.abc import Callable

from labkit.guide import acts, engine
from labkit.guide.engine import Progress
from labkit.guide.format import Ask, Check, Code, Lab, Part, Question, Run, Text
from labkit.guide.places import NowhereError, Place, Spot, typed_at
from labkit.guide.screen import Screen
from labkit.guide.source import source_of
from labkit.guide.stage import Outcome, Stage, with_answers
from labkit.guide.words import Words


class Quit(Exception):
    """The learner wants to stop here."""


class Tutor:
    """`save` is called with the progress after every part. `auto`: nobody is asked, commands run by themselves."""

    def __init__(
        self, lab: Lab, stage: Stage, screen: Screen, words: Words, save: Callable[[Progress], None], auto: bool = False
    ) -> None:
        self._lab, self._stage, self._screen, self._words = lab, stage, screen, words
        self._save, self._auto = save, auto
        self._predicted: dict[int, str] = {}  # line of the question -> letter

    def lead(self, progress: Progress) -> bool:
        """Until the end of the page (True) or until a command of an unattended page does not do what it should.
        Raises Quit."""
        progress = engine.start(self._lab, progress)
        self._open(progress)
        shown = progress.step
        while (part := engine.present_part(self._lab, progress)) is not None:
            if progress.step != shown:
                shown = progress.step
                self._step_title(progress)
            following = self._take(part, progress)
            if following is None:
                return False
            progress = following
            self._save(progress)
        self._save(progress)
        return True

    def _open(self, progress: Progress) -> None:
        lab, words = self._lab, self._words
        if not progress.step and not progress.part:
            goals = "\n".join(f"- {goal}" for goal in lab.objectives)
            self._screen.title(lab.title, words("minutes", n=lab.minutes))
            self._screen.markdown(goals)
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

    def _take(self, part: Part, progress: Progress) -> Progress | None:
        """Do one part; the progress behind it, None when an unattended command failed."""
        if isinstance(part, Text | Code):
            self._show(part, progress)
        elif isinstance(part, Run):
            if part.hidden and not self._auto:
                return self._learners_turn(part, progress)
            if not self._run(part, progress):
                return None
        elif isinstance(part, Question):
            self._question(part, progress)
        elif isinstance(part, Ask):
            return self._ask(part, progress)
        else:
            return self._check(part, progress)
        return engine.advance(self._lab, progress)

    def _show(self, part: Text | Code, progress: Progress) -> None:
        if isinstance(part, Text):
            self._screen.markdown(part.markdown)
        else:
            self._screen.code(part.language, source_of(part, self._lab.path), part.source)
        if engine.pauses_after(engine.parts_here(self._lab, progress), progress.part) and not self._auto:
            self._key("next?", {""})

    def _key(self, prompt: str, wanted: set[str], place: Place | None = None) -> str:
        """One of the `wanted` letters; q quits and s opens a shell wherever they are typed."""
        while True:
            self._screen.say(self._words(prompt), "quiet")
            typed = self._screen.ask("> ").lower()[:1]
            if typed == "q":
                raise Quit
            if typed == "s":
                self._shell(place)
            elif typed in wanted:
                return typed

    def _shell(self, place: Place | None) -> None:
        spot = self._spot(place or Place("machine", machine="master"))
        if spot:
            self._screen.say(self._words("shell", machine=spot.machine, lab=self._lab.name), "quiet")
            self._stage.shell(spot)

    def _spot(self, place: Place) -> Spot | None:
        try:
            return self._stage.find(place)
        except NowhereError as exc:
            self._screen.say(self._words("nowhere", what=exc), "bad")
            return None

    def _run(self, run: Run, progress: Progress) -> bool:
        """Show the command, run it on Enter. False when nobody is there to mend an unexpected end."""
        prompt = "run?"
        while True:
            spot = self._spot(run.place)
            if spot:
                self._command(run, spot, progress)
            if not self._auto and self._key(prompt, {"", "k"}, run.place) == "k":
                break
            outcome = self._stage.run(spot, run.command, run.timeout, progress.answers) if spot else None
            if outcome:
                self._output(outcome)
            if outcome and acts.as_meant(run, outcome):
                break
            if self._auto:
                return False
            prompt = "unexpected"
        self._judge_predictions(progress)
        return True

    def _learners_turn(self, solution: Run, progress: Progress) -> Progress:
        """The learner finds the command; what it must achieve is said before and checked after."""
        while self._key("your-turn", {"", "h"}, solution.place) == "h":
            progress = self._hint(progress)
        return engine.advance(self._lab, progress)

    def _command(self, run: Run, spot: Spot, progress: Progress) -> None:
        hand = self._words("typed-by-hand", machine=spot.machine)
        self._screen.command(
            str(spot), run.command if spot.container else with_answers(run.command, progress.answers), hand
        )
        if spot.container:
            self._screen.copyable(typed_at(spot, run.command))

    def _output(self, outcome: Outcome) -> None:
        self._screen.output(outcome.text)
        if outcome.rc:
            self._screen.say(self._words("exit", rc=outcome.rc), "quiet")

    def _question(self, question: Question, progress: Progress) -> None:
        choices = "\\\n".join(f"**{letter}.** {text}" for letter, text in question.choices.items())
        self._screen.markdown(f"{question.text}\n\n{choices}")
        letters = "/".join(question.choices)
        while not self._auto:
            given = self._screen.ask(self._words("answer?", letters=letters)).lower()[:1]
            if given == "q":
                raise Quit
            if question.kind == "predict" and given in question.choices:
                self._predicted[question.line] = given
                return
            if given == question.right:
                self._screen.say(self._words("right"), "good")
                break
            if given:
                self._screen.say(self._words("wrong"), "bad")
        if question.kind == "quiz":
            self._screen.markdown(question.why)

    def _judge_predictions(self, progress: Progress) -> None:
        for question in engine.predictions_for(engine.parts_here(self._lab, progress), progress.part):
            given = self._predicted.pop(question.line, "")
            if given == question.right:
                self._screen.say(self._words("predicted-right", given=given), "good")
            elif given:
                right = f"{question.right}. {question.choices[question.right]}"
                self._screen.say(f"{self._words('predicted', given=given)} {self._words('it-is', right=right)}", "bad")
            self._screen.markdown(question.why)

    def _ask(self, ask: Ask, progress: Progress) -> Progress:
        self._screen.markdown(ask.text)
        if self._auto:
            given = acts.do(self._stage, ask.answer, progress.answers).text.strip()
            self._screen.say(self._words("finding?", name=ask.name) + given)
            return engine.advance(self._lab, progress, (ask.name, given))
        self._screen.say(self._words("find?"), "quiet")
        while True:
            given = self._screen.ask(self._words("finding?", name=ask.name))
            if given == "q":
                raise Quit
            if given == "s":
                self._shell(ask.answer.place)
            elif given == "h":
                progress = self._hint(progress)
            elif given:
                return engine.advance(self._lab, progress, (ask.name, given))

    def _check(self, check: Check, progress: Progress) -> Progress | None:
        """Until it passes; None when it does not and nobody is there to mend it."""
        while True:
            if check.within:
                self._screen.say(self._words("checking", n=check.within), "quiet")
            outcome = acts.check(self._stage, self._lab, check, progress.answers)
            if outcome.rc == 0:
                self._screen.say(self._words("passed"), "good")
                return engine.advance(self._lab, progress)
            self._explain(check, outcome, progress)
            if self._auto:
                return None
            place = engine.workplace(engine.parts_here(self._lab, progress), progress.part) or check.place
            while (typed := self._key("check?", {"", "c", "a", "h"}, place)) == "h":
                progress = self._hint(progress)
            if typed == "a":
                return engine.back_to_ask(self._lab, progress, check)

    def _explain(self, check: Check, outcome: Outcome, progress: Progress) -> None:
        words = self._words
        self._screen.say(words("not-passed"), "bad")
        if outcome.text.strip():
            self._screen.say(words("said"), "quiet")
            self._screen.output(outcome.text)
        holds = {step.id: self._holds(step.checks, progress) for step in self._lab.steps if step.id in check.needs}
        if root := engine.blamed_step(self._lab, check, holds):
            self._screen.say(words("root", title=root.title, lab=self._lab.name), "hint")
        elif used := engine.findings_in(self._lab, check.command):
            given = ", ".join(f"{name}={progress.answers.get(name, '')}" for name in used)
            self._screen.say(words("found", given=given), "hint")
        elif check.blames:
            self._blame(check.blames)

    def _blame(self, units: tuple[str, ...]) -> None:
        """Those that are not running; when all are, those whose work it is."""
        down = [(unit, machine, state) for unit in units for machine, state in self._stage.unit_states(unit).items()
                if state != "active"]  # fmt: skip
        for unit, machine, state in down:
            self._screen.say(self._words("down", unit=unit, machine=machine, state=state), "bad")
        for unit in units if not down else ():
            self._screen.say(self._words("blames", unit=unit), "hint")

    def _holds(self, checks: tuple[Check, ...], progress: Progress) -> bool:
        return all(acts.check(self._stage, self._lab, check, progress.answers, within=0).rc == 0 for check in checks)

    def _hint(self, progress: Progress) -> Progress:
        progress, text = engine.hint(self._lab, progress)
        if text is None:
            self._screen.say(self._words("no-hint"), "quiet")
        else:
            self._screen.say(self._words("hint"), "hint")
            self._screen.markdown(text)
            self._save(progress)
        return progress
