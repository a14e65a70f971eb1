"""Quizzes, judged at once, and predictions, judged by what the next command prints."""

from collections.abc import Sequence

from labkit.guide.format import Question
from labkit.guide.keys import Quit
from labkit.guide.screen import Screen
from labkit.guide.words import Words


def asked(question: Question) -> str:
    """The question and its choices, a line each, as Markdown."""
    choices = "\\\n".join(f"**{letter}.** {text}" for letter, text in question.choices.items())
    return f"{question.text}\n\n{choices}"


class Questions:
    def __init__(self, screen: Screen, words: Words) -> None:
        self._screen, self._words = screen, words
        self._predicted: dict[int, str] = {}  # line of the question -> letter

    def ask(self, question: Question) -> None:
        """Until a quiz is answered right, or a prediction is made. Raises Quit."""
        self._screen.markdown(asked(question))
        letters = "/".join(question.choices)
        while True:
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
