"""Markdown -> Lab. markdown-it-py finds the blocks; what they mean is decided here.

A page is cut at its `##` headings; in a step, fences with a known first word and HTML comments become parts, and all
that lies between them is text, kept as it was written.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from markdown_it import MarkdownIt
from markdown_it.token import Token

from labkit.guide.fences import Fence, answer_of, ask_of, check_of, code_of, question_of, read_info, run_of
from labkit.guide.format import (
    Ask,
    Check,
    Hint,
    Lab,
    LabError,
    Note,
    Part,
    Picture,
    Question,
    Recorded,
    Run,
    Step,
    Text,
)
from labkit.guide.front import read_front

_COMMENTS = "id NAME, solution on=PLACE (or setup, reset, when), answer ..., picture ... or note"


def parse(path: Path, name: str = "") -> Lab:
    """Read one language of a lab. Raises LabError (file, line, expectation)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise LabError(path, 0, f"cannot be read: {exc}", "a Markdown file in UTF-8") from exc
    return parse_text(text, path, name or path.stem)


def parse_text(text: str, path: Path, name: str) -> Lab:
    front = read_front(text, path)
    lines = text.splitlines()
    # Blank lines in place of the front matter keep the numbers of the lines.
    page = "\n" * front.lines + "\n".join(lines[front.lines :])
    sections = _sections(page, lines, path)
    steps = tuple(section.step() for section in sections[1:])
    intro = sections[0]
    lab = Lab(
        name, path, front.title, front.minutes, front.objectives, front.agents, front.reads, tuple(intro.parts), steps,
        labs=front.labs, varies=front.varies, view=front.view, parallel=front.parallel,
        setups=tuple(intro.setups), undo=tuple(intro.undo), notes=tuple(intro.notes))  # fmt: skip
    _check_whole(lab)
    return lab


@dataclass
class _Section:
    """What stands between two headings, while it is being read."""

    path: Path
    title: str = ""
    line: int = 1
    id: str = ""
    parts: list[Part] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    setups: list[Run] = field(default_factory=list)
    undo: list[Run] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    picture: tuple[str, int] | None = None  # the command of the image that follows, and its line
    when: Run | None = None  # the condition of the hint that follows

    def step(self) -> Step:
        if not self.id:
            raise LabError(self.path, self.line, f"step {self.title!r} has no name", "a line <!-- id NAME --> under it")
        if self.picture:
            raise LabError(self.path, self.picture[1], "a picture without its image", "![...](NAME.svg) below it")
        if self.when:
            raise LabError(self.path, self.when.line, "a condition without its hint", "<details> behind the comment")
        return Step(
            self.id, self.title, self.line, tuple(self.parts), tuple(self.hints), tuple(self.setups), tuple(self.undo),
            tuple(self.notes))  # fmt: skip


def _sections(page: str, lines: list[str], path: Path) -> list[_Section]:
    tokens = [t for t in MarkdownIt("commonmark").enable("table").parse(page) if t.level == 0 and t.map]
    reader = _Reader(path, lines)
    for index, token in enumerate(tokens):
        following = tokens[index + 1].map if index + 1 < len(tokens) else None
        reader.read(token, page, following[0] if following else len(lines))
    if reader.hint_from is not None:
        reader.fail(reader.hint_from, "<details> is not closed", "</details>")
    return reader.sections


class _Reader:
    """Goes through the blocks of a page from top to bottom."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path, self.lines = path, lines
        self.sections = [_Section(path)]
        self.hint_from: int | None = None

    @property
    def here(self) -> _Section:
        return self.sections[-1]

    def fail(self, line: int, problem: str, expected: str = "") -> NoReturn:
        raise LabError(self.path, line, problem, expected)

    def read(self, token: Token, page: str, until: int) -> None:
        assert token.map is not None
        start = token.map[0]
        if self.hint_from is not None:
            self._in_hint(token)
        elif token.type == "heading_open" and token.tag in ("h1", "h2"):
            if token.tag == "h2":
                self.sections.append(_Section(self.path, self.lines[start].lstrip("# ").strip(), start + 1))
        elif token.type == "fence":
            self._fence(Fence(token.info, token.content, start + 1, self.path))
        elif token.type == "html_block" and token.content.lstrip().startswith("<!--"):
            self._comment(token.content.strip(), start + 1)
        elif token.type == "html_block" and token.content.lstrip().startswith("<details"):
            self.hint_from = start + 1
            self._in_hint(token)
        else:
            self._text("\n".join(self.lines[start : token.map[1]]), start + 1)

    def _text(self, markdown: str, line: int) -> None:
        parts = self.here.parts
        if self.here.picture:
            (command, above), self.here.picture = self.here.picture, None
            image = re.fullmatch(r"!\[(.+)\]\(([\w-]+\.svg)\)", markdown.strip())
            if not image:
                self.fail(above, "a picture without its image", "![what it shows](NAME.svg) below the comment")
            parts.append(Picture(command, image[2], image[1], line))
            return
        if parts and isinstance(parts[-1], Text):
            parts[-1] = Text(f"{parts[-1].markdown}\n\n{markdown}", parts[-1].line)
        else:
            parts.append(Text(markdown, line))

    def _fence(self, fence: Fence) -> None:
        info = read_info(fence)
        if info.kind == "output":
            last = self.here.parts[-1] if self.here.parts else None
            if not isinstance(last, Run) or last.recorded or last.hidden:
                self.fail(fence.line, "an output without its command", "a block `sh on=PLACE` directly before it")
            self.here.parts[-1] = replace(last, recorded=Recorded(fence.body, fence.line))
        elif info.kind == "sh":
            self.here.parts.append(check_of(fence, info) if "check" in info.flags else run_of(fence, info))
        elif info.kind in ("quiz", "predict"):
            self.here.parts.append(question_of(fence, info))
        elif info.kind == "ask":
            self.here.parts.append(ask_of(fence, info))
        elif "from" in info.values:
            self.here.parts.append(code_of(fence, info))
        else:
            self._text(f"```{fence.info}\n{fence.body}```", fence.line)

    def _comment(self, comment: str, line: int) -> None:
        if not comment.endswith("-->"):
            self.fail(line, "text behind a comment on its line", "-->")
        head, _, body = comment[4:-3].strip().partition("\n")
        word, _, rest = head.partition(" ")
        if word == "id":
            if not re.fullmatch(r"[a-z][a-z0-9-]*", rest) or self.here.id:
                self.fail(line, f"step name {rest!r}", "one name per step, of a-z, 0-9 and -")
            self.here.id = rest
        elif word in ("solution", "setup", "reset", "when"):
            fence = Fence(f"sh {rest}", body, line, self.path)
            self._hidden(word, replace(run_of(fence, read_info(fence)), hidden=True))
        elif word == "answer":
            last = self.here.parts[-1] if self.here.parts else None
            self.here.parts[-1:] = [answer_of(last, Fence(rest, body, line, self.path))]
        elif word == "picture":
            if rest.split()[:1] not in (["packet"], ["story"]) or len(rest.split()) < 2:
                self.fail(line, f"picture {rest}", "picture packet FROM TO, or picture story KIND/NAME")
            self.here.picture = (f"labkit {rest}", line)
        elif word == "note":
            self.here.notes.append(Note(f"{rest}\n{body}".strip(), line))
        else:
            self.fail(line, f"unknown comment {word!r}", _COMMENTS)

    def _hidden(self, word: str, run: Run) -> None:
        """A command that no reader sees."""
        if word == "solution":
            self.here.parts.append(run)
        elif word == "setup":
            self.here.setups.append(run)
        elif word == "reset":
            self.here.undo.append(run)
        else:
            self.here.when = run

    def _in_hint(self, token: Token) -> None:
        """`<details><summary>..</summary>`, text, `</details>`; markdown-it ends its HTML blocks at blank lines."""
        assert token.map is not None
        assert self.hint_from is not None
        if token.type != "html_block" or "</details>" not in token.content:
            return
        block = "\n".join(self.lines[self.hint_from - 1 : token.map[1]])
        text = re.sub(r"<summary>.*?</summary>|</?details[^>]*>", "", block, flags=re.DOTALL).strip()
        if not text:
            self.fail(self.hint_from, "an empty hint", "text between <details> and </details>")
        self.here.hints.append(Hint(text, self.hint_from, self.here.when))
        self.hint_from = self.here.when = None


def _check_whole(lab: Lab) -> None:
    """Rules that need the whole page."""
    seen: dict[str, Step] = {}
    for step in lab.steps:
        if step.id in seen:
            raise LabError(lab.path, step.line, f"step name {step.id} is taken by line {seen[step.id].line}", "another")
        for part in step.parts:
            if isinstance(part, Question) and not part.right:
                raise LabError(lab.path, part.line, f"a {part.kind} without its answer", "<!-- answer LETTER --> below")
            if isinstance(part, Ask) and not part.answer.command:
                raise LabError(
                    lab.path, part.line, "an ask without its answer", "<!-- answer on=PLACE, command --> below"
                )
            if isinstance(part, Check) and (unknown := [need for need in part.needs if need not in seen]):
                raise LabError(lab.path, part.line, f"needs={unknown[0]}", "names of earlier steps: " + ", ".join(seen))
        seen[step.id] = step
