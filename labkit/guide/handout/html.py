"""A page as one HTML file: text that can be copied, light and dark, no network. It is also what becomes a PDF."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from labkit.guide.format import Ask, Check, Code, Hint, Lab, Note, Part, Picture, Question, Run, Step, Text
from labkit.guide.handout.sheet import ticked_once, where
from labkit.guide.pictures import bytes_of
from labkit.guide.rewrite import spoken
from labkit.guide.source import source_of
from labkit.guide.words import Words

_STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
_COPY = """for (const run of document.querySelectorAll('.run[data-copy]')) {
  const button = document.createElement('button'); button.textContent = document.body.dataset.copy;
  button.onclick = () => navigator.clipboard.writeText(run.dataset.copy); run.append(button); }"""
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def page(
    lab: Lab, lang: str, printed: Mapping[str, str] | None = None, solutions: bool = False, notes: bool = False,
    paper: bool = False,
) -> str:  # fmt: skip
    """`printed`: outputs in place of those recorded in the page (`spoken` command -> text). `paper`: hints stand at the
    end, where they are not read by accident."""
    return _Page(lab, lang, printed or {}, solutions, notes, paper).html()


def document(title: str, body: str, lang: str) -> str:
    """The whole file around a body."""
    copy = escape(Words(lang)("copy"), quote=True)
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f'<body data-copy="{copy}">\n{body}</body></html>\n'
    )


class _Page:
    def __init__(
        self, lab: Lab, lang: str, printed: Mapping[str, str], solutions: bool, notes: bool, paper: bool
    ) -> None:
        self._lab, self._lang, self._words, self._printed = lab, lang, Words(lang), printed
        self._solutions, self._notes, self._paper = solutions, notes, paper

    def html(self) -> str:
        script = "" if self._paper else f"\n<script>{_COPY}</script>"
        return document(self._lab.title, "\n".join(self._body()) + script, self._lang)

    def _body(self) -> Iterator[str]:
        lab = self._lab
        yield f"<h1>{escape(lab.title)}</h1><p class=quiet>{self._words('minutes', n=lab.minutes)}</p>"
        yield "<ul>" + "".join(f"<li>{inline(goal)}</li>" for goal in lab.objectives) + "</ul>"
        yield from self._notes_of(lab.notes)
        yield from self._parts(lab.intro)
        for number, step in enumerate(lab.steps, 1):
            yield f'<h2 id="{step.id}">{number}. {escape(step.title)}</h2>'
            yield from self._notes_of(step.notes)
            yield from self._parts(step.parts)
            if not self._paper:
                yield from map(self._hint, step.hints)
        if self._paper:
            yield from self._hints_of(lab.steps)

    def _hints_of(self, steps: Sequence[Step]) -> Iterator[str]:
        if any(step.hints for step in steps):
            yield f"<h2>{self._words('hints')}</h2>"
        for number, step in enumerate(steps, 1):
            for hint in step.hints:
                to = f"<p class=quiet>{number}. {escape(step.title)}</p>"
                yield f"<div class='box hint'>{to}{_block(hint.markdown)}</div>"

    def _notes_of(self, notes: Sequence[Note]) -> Iterator[str]:
        for note in notes if self._notes else ():
            yield f"<details class=note><summary>{self._words('speaker')}</summary>{_block(note.markdown)}</details>"

    def _hint(self, hint: Hint) -> str:
        return f"<details><summary>{self._words('hint')}</summary>{_block(hint.markdown)}</details>"

    def _parts(self, parts: Sequence[Part]) -> Iterator[str]:
        for part in parts if self._solutions else ticked_once(parts):
            yield self._part(part)

    def _part(self, part: Part) -> str:
        match part:
            case Text(markdown):
                return _block(markdown.removeprefix(f"# {self._lab.title}"))
            case Code(language, source):
                return _figure(source, _colored(source_of(part, self._lab.path), language))
            case Run():
                return self._run(part)
            case Question():
                return self._question(part)
            case Ask(name, text):
                answer = self._command(part.answer) if self._solutions else ""
                blank = f"<p><code>{name}</code> = <span class=blank>&nbsp;</span></p>"
                return f"<div class=box>{_block(text)}{blank}{answer}</div>"
            case Check():
                done = f"<p class=quiet>☐ {self._words('checked')}</p>"
                return done + (self._command(part) if self._solutions else "")
            case Picture():
                drawn_by = f"{escape(part.caption)} · <code>{escape(part.command)}</code>"
                return f"<figure class=drawn><figcaption>{drawn_by}</figcaption>{self._image(part)}</figure>"

    def _run(self, run: Run) -> str:
        if run.hidden and not self._solutions:
            return f"<div class='box turn'><p>{self._words('turn')}</p></div>"
        output = self._printed.get(spoken(run), run.recorded.body if run.recorded else "")
        shown = self._command(run, output)
        return f"<div class='box turn'><p>{self._words('solution')}</p>{shown}</div>" if run.hidden else shown

    def _command(self, run: Run | Check, output: str = "") -> str:
        answer = f"<pre class=output>{escape(output.rstrip())}</pre>" if output.strip() else ""
        return (
            f'<div class="run{" answered" if answer else ""}" data-copy="{escape(run.command, quote=True)}">'
            f"<div class=where>{escape(where(run.place, self._words))}</div>"
            f"<pre class=typed>{escape(run.command)}</pre>{answer}</div>"
        )

    def _question(self, question: Question) -> str:
        choices = "".join(f"<li>☐ {letter}. {inline(text)}</li>" for letter, text in question.choices.items())
        right = f"<p><strong>{question.right}.</strong></p>{_block(question.why)}"
        if self._solutions:
            answer = f"<p class=quiet>{self._words('solution')}</p>{right}"
        else:
            answer = (
                "" if not self._notes else f"<details><summary>{self._words('solution')}</summary>{right}</details>"
            )
        return f"<div class=box>{_block(question.text)}<ul class=choices>{choices}</ul>{answer}</div>"

    def _image(self, picture: Picture) -> str:
        drawn = base64.b64encode(bytes_of(picture, self._lab)).decode()
        return f'<img alt="{escape(picture.caption, quote=True)}" src="data:image/svg+xml;base64,{drawn}">'


def _block(markdown: str) -> str:
    return str(_MARKDOWN.render(markdown))


def inline(markdown: str) -> str:
    return str(_MARKDOWN.renderInline(markdown))


def _colored(text: str, language: str) -> str:
    return str(highlight(text.rstrip("\n"), get_lexer_by_name(language), HtmlFormatter(nowrap=True)))


def _figure(caption: str, colored: str) -> str:
    return f"<figure><figcaption><code>{escape(caption)}</code></figcaption><pre>{colored}</pre></figure>"
