"""What the learner presses, and what each key means wherever it is pressed.

n, Enter  next, or run       c  check             h  hint            s  solution (after asking)
r  begin the step anew       t  a terminal        v  side view       l  the labs        q  quit
"""

from collections.abc import Callable

from labkit.guide.places import Place
from labkit.guide.screen import Screen
from labkit.guide.words import Words

# What is said of a key that does nothing at the present prompt.
_IDLE = {"": "no-next", "c": "no-check", "h": "no-hint-here", "s": "no-solution"}


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
        self, prompt: str, wanted: set[str], place: Place | None = None, watch: Callable[[], bool] | None = None,
        **said: object,
    ) -> str:  # fmt: skip
        """One of the `wanted` keys ("" is Enter or n), or "" as soon as `watch` says yes; a key that does nothing here
        is told so. `said` is what the prompt speaks of. Raises Quit, StartOver."""
        self._prompt(prompt, **said)
        while (typed := self._typed(watch)) not in wanted:
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
            elif typed != "r":
                self._screen.say(self._words(_IDLE.get(typed, "no-such-key")), "hint")
                continue
            self._prompt(prompt, **said)
        return typed

    def again(self, prompt: str) -> None:
        """Until the learner wants to try what did not work once more. Raises Quit."""
        self._prompt(prompt)
        while (typed := self._typed()) not in ("", "c"):
            if typed == "q":
                raise Quit
            self._prompt(prompt)

    def _prompt(self, prompt: str, **said: object) -> None:
        self._screen.say(self._words(prompt, **said), "quiet")

    def _typed(self, watch: Callable[[], bool] | None = None) -> str:
        typed = self._screen.key(watch)
        return "" if typed == "n" else typed

    def sure(self, question: str) -> bool:
        self._screen.say(self._words(question), "hint")
        return self._screen.key() == "y"
