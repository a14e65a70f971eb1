"""Quizzes, judged at once, and predictions, judged by what the next command prints."""

from collections.abc import Callable, Sequence

from labkit.guide.format import Question
from labkit.guide.keys import Keys
from labkit.guide.screen import Screen
from labkit.guide.words import Words


def asked(question: Question) -> str:
    """The question and its choices, a line each, as Markdown."""
    choices = "\\\n".join(f"**{letter}.** {text}" for letter, text in question.choices.items())
    return f"{question.text}\n\n{choices}"


class Questions:
    def __init__(self, screen: Screen, words: Words, keys: Keys) -> None:
        self._screen, self._words, self._keys = screen, words, keys
        self._predicted: dict[int, str] = {}  # line of the question -> letter

    def ask(self, question: Question, hint: Callable[[], None]) -> None:
        """Until a quiz is answered right, or a prediction is made: one key each. Raises Quit, StartOver."""
        self._screen.markdown(asked(question))
        letters = "/".join(question.choices)
        while (given := self._keys.press("answer?", {*question.choices, "h"}, letters=letters)) != question.right:
            if given == "h":
                hint()
            elif question.kind == "predict":
                break
            else:
                self._screen.say(self._words("wrong", given=given), "bad")
        if question.kind == "predict":
            self._predicted[question.line] = given
            self._screen.say(self._words("noted", given=given), "quiet")
        else:
            self._screen.say(self._words("right", given=given), "good")
            self._screen.markdown(question.why)

    def judge(self, predictions: Sequence[Question]) -> None:
        """The command that decides them has run."""
        for question in predictions:
            given = self._predicted.pop(question.line, "")
            if given == question.right:
                self._screen.say(self._words("predicted-right", given=given), "good")
            elif given:
                right = f"{question.right}. {question.choices[question.right]}"
                self._screen.say(f"{self._words('predicted', given=given)} {self._words('it-is', right=right)}", "bad")
            self._screen.markdown(question.why)
