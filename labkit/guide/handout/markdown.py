"""A page as plain Markdown, without what the engine alone reads (checks, set-ups, answers)."""

from collections.abc import Iterator, Sequence

from labkit.guide.format import Ask, Check, Code, Lab, Part, Picture, Question, Run, Text
from labkit.guide.handout.sheet import ticked_once, where
from labkit.guide.source import source_of
from labkit.guide.words import Words


def page(lab: Lab, lang: str, solutions: bool = False) -> str:
    return "\n\n".join(_blocks(lab, Words(lang), solutions)) + "\n"


def _blocks(lab: Lab, words: Words, solutions: bool) -> Iterator[str]:
    yield f"# {lab.title}"
    yield words("minutes", n=lab.minutes)
    yield "\n".join(f"- {goal}" for goal in lab.objectives)
    yield from _parts(lab, lab.intro, words, solutions)
    for number, step in enumerate(lab.steps, 1):
        yield f"## {number}. {step.title}"
        yield from _parts(lab, step.parts, words, solutions)
    hints = [(number, hint) for number, step in enumerate(lab.steps, 1) for hint in step.hints]
    if hints:
        yield f"## {words('hints')}"
        yield from (f"**{number}.** {hint.markdown}" for number, hint in hints)


def _parts(lab: Lab, parts: Sequence[Part], words: Words, solutions: bool) -> Iterator[str]:
    for part in parts if solutions else ticked_once(parts):
        match part:
            case Text(markdown):
                yield markdown.removeprefix(f"# {lab.title}").strip()
            case Code(language, source):
                yield f"`{source}`:\n\n{_fence(source_of(part, lab.path), language)}"
            case Run():
                yield from _run(part, words, solutions)
            case Question():
                yield from _question(part, words, solutions)
            case Ask(name, text):
                yield f"{text}\n\n`{name}` = ______________"
                if solutions:
                    yield _command(part.answer, words)
            case Check():
                yield f"☐ {words('checked')}"
                if solutions:
                    yield _command(part, words)
            case Picture():
                yield f"`{part.command}`:\n\n![{part.caption}]({lab.name}-{part.file})"


def _run(run: Run, words: Words, solutions: bool) -> Iterator[str]:
    if run.hidden and not solutions:
        yield f"> {words('turn')}"
        return
    if run.hidden:
        yield words("solution")
    yield _command(run, words)
    if run.recorded:
        yield _fence(run.recorded.body)


def _command(run: Run | Check, words: Words) -> str:
    return f"{where(run.place, words)}:\n\n{_fence(run.command, 'sh')}"


def _fence(body: str, language: str = "") -> str:
    return f"```{language}\n{body.rstrip()}\n```"


def _question(question: Question, words: Words, solutions: bool) -> Iterator[str]:
    yield question.text
    yield "\n".join(f"- [ ] {letter}. {text}" for letter, text in question.choices.items())
    if solutions:
        yield f"{words('solution')} **{question.right}.** {question.why}"
