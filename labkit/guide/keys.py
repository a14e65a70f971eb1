"""What the learner presses, and what each key means wherever it is pressed.

n, Enter  next, or run       c  check             h  hint            s  solution (after asking)
r  begin the step anew       t  a terminal        v  side view       l  the labs        q  quit
"""

from collections.abc import Callable

from labkit.guide.places import Place
from labkit.guide.screen import Screen
from labkit.guide.words import Words


class Quit(Exception):
    """The learner wants to stop here."""


class StartOver(Exception):
    """The learner wants to do the present step again from its beginning."""


class Keys:
    """`shell` opens a terminal at a place, `view` the side view; `labs` shows the list."""

    def __init__(
        self, screen: Screen, words: Words, shell: Callable[[Place | None], None], view: Callable[[], None],
        labs: Callable[[], None],
    ) -> None:  # fmt: skip
        self._screen, self._words, self._shell = screen, words, shell
        self._anywhere = {"v": view, "l": labs}

    def press(
        self, prompt: str, wanted: set[str], place: Place | None = None, watch: Callable[[], bool] | None = None
    ) -> str:
        """One of the `wanted` keys ("" is Enter or n), or "" as soon as `watch` says yes. Raises Quit, StartOver."""
        while True:
            self._screen.say(self._words(prompt), "quiet")
            typed = self._screen.key(watch)
            typed = "" if typed == "n" else typed
            if typed == "q":
                raise Quit
            if typed == "r" and self.sure("reset-sure?"):
                raise StartOver
            if typed == "t":
                self._shell(place)
            elif typed == "?":
                self._screen.say(self._words("keys"), "quiet")
            elif typed in self._anywhere:
                self._anywhere[typed]()
            elif typed in wanted:
                return typed

    def again(self, prompt: str) -> None:
        """Until the learner wants to try what did not work once more. Raises Quit."""
        while True:
            self._screen.say(self._words(prompt), "quiet")
            typed = self._screen.key()
            if typed == "q":
                raise Quit
            if typed in ("", "n", "c"):
                return

    def sure(self, question: str) -> bool:
        self._screen.say(self._words(question), "hint")
        return self._screen.key() == "y"
