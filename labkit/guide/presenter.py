"""`labkit walkthrough NAME`: a page, presented screen by screen; commands are typed and really run.

n, Enter, space, right, PageDown   on            b, left, PageUp   the screen before, as it was (nothing is run again)
o   the speaker's notes, on or off               t   a terminal on the master          q   the end
"""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.guide import acts
from labkit.guide.beats import Beat, Reveal, Scene, reading_seconds, scenes
from labkit.guide.format import Check, Code, Lab, Picture, Question, Run, Text
from labkit.guide.keys import Quit
from labkit.guide.places import NowhereError, Place, typed_at
from labkit.guide.questions import asked
from labkit.guide.rewrite import parts_of, spoken
from labkit.guide.screen import Screen
from labkit.guide.source import source_of
from labkit.guide.stage import Outcome, Stage
from labkit.guide.words import Words
from labkit.provision.errors import CommandFailed

MASTER = Place("machine", machine="master")
BEFORE_RUN = 0.4  # seconds between the last character of a command and its Enter


@dataclass
class Pace:
    """`auto`: no key is waited for, but `pause` times as long as reading takes."""

    sleep: Callable[[float], None]
    auto: bool = False
    pause: float = 1.0


class _Back(Exception):
    """The speaker wants the screen before."""


class Presenter:
    def __init__(self, page: Lab, stage: Stage, screen: Screen, words: Words, pace: Pace, notes: bool = False) -> None:
        self._page, self._stage, self._screen, self._words, self._pace = page, stage, screen, words, pace
        self._notes = notes
        self._ended: dict[int, Outcome] = {}  # line of a command -> how it ended
        self._seen: set[Beat] = set()
        self._unread = ""  # what has been shown since the last pause

    @property
    def printed(self) -> dict[str, Outcome]:
        """What each command of the page (`spoken`) printed, as far as the show came."""
        return {spoken(part): self._ended[part.line] for part in parts_of(self._page)
                if isinstance(part, Run) and part.line in self._ended}  # fmt: skip

    def play(self) -> bool:
        """To the end (True), or until an unattended command does not end as it should. Raises Quit."""
        show, at = scenes(self._page), 0
        for trouble in acts.each(self._stage, self._page, self._page.setups):
            self._screen.say(self._words("setup-failed", what=trouble), "bad")
        while at < len(show):
            try:
                if not self._scene(show[at], len(show) - 1):
                    return False
                self._wait(show[at])
                at += 1
            except _Back:
                at = max(at - 1, 0)
        return True

    def _scene(self, scene: Scene, last: int) -> bool:
        self._screen.clear()
        self._screen.title(scene.title, self._words("screen", n=scene.number, all=last) if scene.number else "")
        if not scene.number and not self._pace.auto:
            self._screen.say(self._words("show-keys"), "quiet")
        if self._notes:
            self._tell_notes(scene)
        for beat in scene.beats:
            if beat.waits and beat not in self._seen:
                self._wait(scene)
            if not self._show(beat):
                return False
            self._seen.add(beat)
        return True

    def _show(self, beat: Beat) -> bool:
        shown = beat.shown
        match shown:
            case Text():
                self._say(shown.markdown)
            case Code():
                self._screen.code(shown.language, source_of(shown, self._page.path), shown.source)
                self._unread += shown.body
            case Question():
                self._say(asked(shown))
            case Reveal(question):
                self._say(f"**{question.right}.** {question.choices[question.right]}\n\n{question.why}")
            case Run():
                return self._run(shown, again=beat in self._seen)
            case Picture():
                self._screen.say(self._words("picture", caption=shown.caption, command=shown.command), "quiet")
            case Check():
                return beat in self._seen or self._await(shown)
        return True

    def _say(self, markdown: str) -> None:
        self._screen.markdown(markdown)
        self._unread += markdown

    def _run(self, run: Run, again: bool) -> bool:
        """Type it, run it, show what it prints; `again`: show what it printed."""
        try:
            spot = self._stage.find(run.place)
            self._screen.command(str(spot), run.command, typed=not again)
            if spot.container:
                self._screen.copyable(typed_at(spot, run.command))
            if not again:
                self._pace.sleep(BEFORE_RUN)
                self._ended[run.line] = self._stage.run(spot, run.command, run.timeout, {})
        except (NowhereError, CommandFailed) as exc:
            self._ended[run.line] = Outcome(1, str(exc))
        ended = self._ended[run.line]
        self._screen.output(ended.text)
        self._unread += ended.text
        if ended.rc:
            self._screen.say(self._words("exit", rc=ended.rc), "quiet")
        return acts.as_meant(run, ended) or not self._pace.auto

    def _await(self, check: Check) -> bool:
        """A check is a wait; only one that does not pass is worth a word."""
        outcome = acts.check(self._stage, self._page, check, {})
        if outcome.rc:
            self._screen.say(f"{self._words('not-passed')} {outcome.text.strip()}", "bad")
        return outcome.rc == 0 or not self._pace.auto

    def _wait(self, scene: Scene) -> None:
        """For the speaker's key, or for as long as reading takes. Raises Quit, _Back."""
        unread, self._unread = self._unread, ""
        if self._pace.auto:
            self._pace.sleep(self._pace.pause * reading_seconds(unread))
            return
        while (key := self._screen.key()) not in ("", "n", " "):
            if key == "q":
                raise Quit
            if key == "b":
                raise _Back
            if key == "o":
                self._notes = not self._notes
                if self._notes:
                    self._tell_notes(scene)
            elif key == "t":
                self._stage.shell(self._stage.find(MASTER))
            else:
                self._screen.say(self._words("show-keys"), "quiet")

    def _tell_notes(self, scene: Scene) -> None:
        for note in scene.notes:
            self._screen.say(note.markdown, "hint")
