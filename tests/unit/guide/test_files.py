"""progress.json, code from the source, recording, and finding pages."""

import json
from pathlib import Path

import pytest

from labkit.guide import catalog
from labkit.guide.engine import Progress
from labkit.guide.format import Code, LabError
from labkit.guide.parse import parse_text
from labkit.guide.progress import ProgressFile
from labkit.guide.rewrite import shortened, spoken, with_code, with_outputs
from labkit.guide.source import definition, source_of
from labkit.guide.stage import with_answers
from tests.unit.guide.pages import FRONT, PAGE, page

PROGRESS = Progress("on", 2, {"A": "1"}, ("x",), 1)


def test_progress_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    book = ProgressFile(tmp_path)
    assert book.load("lamp") == Progress()
    book.save("lamp", PROGRESS)
    book.save("other", Progress())
    assert ProgressFile(tmp_path).load("lamp") == PROGRESS
    book.forget("lamp")
    assert ProgressFile(tmp_path).load("lamp") == Progress()
    assert list(json.loads((tmp_path / "progress.json").read_text())["labs"]) == ["other"]


def test_a_broken_progress_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text('{"labs": {"lamp": {"part": "two"}}}')
    book = ProgressFile(tmp_path)
    assert book.load("lamp") == Progress()
    book.save("lamp", PROGRESS)
    assert book.load("lamp") == PROGRESS
    assert '"two"' in (tmp_path / "progress.broken").read_text()


SOURCE = '''import os

LIMIT = 3


@decorated
def plain():
    """Doc."""
    return 1


class Thing:
    async def method(self):
        return 2
'''


def test_definitions() -> None:
    assert definition(SOURCE, "plain") == '@decorated\ndef plain():\n    """Doc."""\n    return 1\n'
    assert definition(SOURCE, "Thing.method") == "async def method(self):\n    return 2\n"
    assert definition(SOURCE, "LIMIT") == "LIMIT = 3\n"
    assert definition(SOURCE, "Thing.other") is None
    assert definition(SOURCE, "os") is None


def test_source_of_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "a.yaml").write_text("x: 1\n")
    lab = tmp_path / "lab.md"
    assert source_of(Code("yaml", "a.yaml", "", 1), lab) == "x: 1\n"
    assert source_of(Code("python", "labkit/cluster.py:REPOSITORY", "", 1), lab).startswith("REPOSITORY = ")
    with pytest.raises(LabError, match=r"lab\.md:4: from=b\.py: no such file"):
        source_of(Code("python", "b.py", "", 4), lab)
    with pytest.raises(LabError, match=r"a\.py has no nothing"):
        source_of(Code("python", "a.py:nothing", "", 4), lab)


def test_outputs_and_code_are_written_into_the_page(tmp_path: Path) -> None:
    lab = page()
    run = next(part for part in lab.steps[0].parts if getattr(part, "recorded", None))
    bare = PAGE.replace("```output\non\n```\n", "")
    assert with_outputs(bare, page(bare), {spoken(run): "on\n"}) == PAGE  # type: ignore[arg-type]
    text = with_outputs(PAGE, lab, {spoken(run): "bright\nlight\n"})  # type: ignore[arg-type]
    assert "```output\nbright\nlight\n```\n" in text
    assert text.replace("bright\nlight", "on") == PAGE
    (tmp_path / "a.py").write_text(SOURCE)
    old = FRONT + "```python from=a.py:LIMIT\nold\nlines\n```\n\nend\n"
    new = with_code(old, parse_text(old, tmp_path / "lab.md", "lab"))
    assert new == FRONT + "```python from=a.py:LIMIT\nLIMIT = 3\n```\n\nend\n"


def test_a_long_output_is_cut() -> None:
    assert shortened("a \nb\n\n") == "a\nb"
    assert shortened("x\n" * 60).splitlines()[-1] == "... (60 lines)"


def test_pages_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "01-lamp").mkdir()
    for name in ("01-lamp/lab.md", "01-lamp/lab.zh.md", "02-watch.md", "02-watch.zh.md", "notes.txt"):
        (tmp_path / name).write_text(PAGE)
    assert list(catalog.pages(tmp_path)) == ["lamp", "watch"]
    assert catalog.load(tmp_path, "lamp", "zh").path.name == "lab.zh.md"
    with pytest.raises(LabError, match="expected one of lamp, watch"):
        catalog.load(tmp_path, "lump", "en")


@pytest.mark.parametrize(
    ("chosen", "environment", "lang"),
    [
        (None, "zh_CN.UTF-8", "zh"),
        (None, "en_US.UTF-8", "en"),
        (None, "C", "en"),
        ("zh", "en_US", "zh"),
        ("en", "zh_CN", "en"),
    ],
)
def test_language(chosen: str | None, environment: str, lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", environment)
    assert catalog.language(chosen) == lang


def test_an_unknown_language_names_those_there_are() -> None:
    with pytest.raises(LabError, match="expected one of en, zh"):
        catalog.language("fr")


def test_answers_reach_only_the_commands_that_name_them() -> None:
    assert with_answers("ls", {"PORT": "1"}) == "ls"
    assert with_answers("nc h $PORT", {"PORT": "1; rm -rf /"}) == "PORT='1; rm -rf /'\nnc h $PORT"
