"""Every lab and walkthrough, as a page: no cluster needed."""

import re
from pathlib import Path

import pytest

from labkit.guide import catalog
from labkit.guide.format import Ask, Check, Code, Lab, Part, Question, Run, Text
from labkit.guide.parse import parse
from labkit.guide.rewrite import parts_of
from labkit.guide.source import ROOT, definition, source_of

LABS = catalog.pages(catalog.LABS)
PAGES = LABS | catalog.pages(catalog.WALKTHROUGHS)
EVERY = [(name, lang) for name in PAGES for lang in catalog.LANGUAGES]
# `labkit/components/kubelet/env.py:variables_of` or `labkit/guide/` in running text
NAMED = re.compile(r"`(labkit/[\w/]+(?:\.py)?)(?::([\w.]+))?`")


def read(name: str, lang: str) -> Lab:
    return parse(catalog.translated(PAGES[name], lang), name)


def bones(part: Part) -> object:
    """What must be the same in every language: all but the prose."""
    match part:
        case Run(place, command, _, timeout, fails, reset, hidden, recorded):
            return ("run", str(place), command, timeout, fails, reset, hidden, recorded and recorded.body)
        case Check(place, command, _, within, needs, blames):
            return ("check", str(place), command, within, needs, blames)
        case Question(kind, _, choices, right):
            return (kind, list(choices), right)
        case Ask(name, _, answer):
            return ("ask", name, str(answer.place), answer.command)
        case Code(language, source, body):
            return ("code", language, source, body)
        case Text():
            return "text"


def test_there_are_pages() -> None:
    assert "redis-master" in LABS
    assert "follow-a-pod" in PAGES


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_have_the_same_commands(name: str) -> None:
    english, others = read(name, "en"), [catalog.translated(PAGES[name], lang) for lang in catalog.LANGUAGES[1:]]
    assert PAGES[name] not in others, f"{name} is not translated"
    for path in others:
        lab = parse(path, name)
        assert (lab.minutes, lab.agents, lab.reads) == (english.minutes, english.agents, english.reads)
        assert [step.id for step in lab.steps] == [step.id for step in english.steps]
        assert [len(step.hints) for step in lab.steps] == [len(step.hints) for step in english.steps]
        assert [bones(part) for part in parts_of(lab)] == [bones(part) for part in parts_of(english)]


@pytest.mark.parametrize(("name", "lang"), EVERY)
def test_shown_code_is_the_source(name: str, lang: str) -> None:
    """Refresh with `python -m labkit.guide.record --code`."""
    lab = read(name, lang)
    for part in parts_of(lab):
        if isinstance(part, Code):
            assert part.body == source_of(part, lab.path), f"{lab.path.name}:{part.line} differs from {part.source}"


@pytest.mark.parametrize(("name", "lang"), EVERY)
def test_named_functions_exist(name: str, lang: str) -> None:
    lab = read(name, lang)
    for file_name, function in NAMED.findall(lab.path.read_text(encoding="utf-8")):
        path = ROOT / file_name
        assert path.exists(), f"{lab.path.name} names {file_name}"
        if function:
            assert definition(path.read_text(encoding="utf-8"), function), f"{file_name} has no {function}"
    for file_name in lab.reads:
        assert (ROOT / file_name).is_file(), f"{lab.path.name} reads {file_name}"


@pytest.mark.parametrize(("name", "lang"), EVERY)
def test_every_shown_command_has_a_recorded_output(name: str, lang: str) -> None:
    lab = read(name, lang)
    runs = [part for part in parts_of(lab) if isinstance(part, Run) and not part.hidden]
    missing = [run.line for run in runs if not (run.recorded and run.recorded.body.strip())]
    assert not missing, f"{lab.path.name}: not recorded: lines {missing}"


@pytest.mark.parametrize("name", LABS)
def test_a_lab_is_of_a_size_and_every_step_is_checked(name: str) -> None:
    lab = read(name, "en")
    assert 15 <= lab.minutes <= 30
    assert 4 <= len(lab.steps) <= 8
    assert lab.resets, "nothing removes what the lab made"
    for step in lab.steps:
        assert step.checks, f"step {step.id} has no check"
        assert step.hints, f"step {step.id} has no hint"
        assert isinstance(step.parts[-1], Text), f"step {step.id} has no debrief"


def test_the_two_readmes_show_the_same_commands() -> None:
    def commands(path: Path) -> list[str]:
        blocks = re.findall(
            r"^```(?:sh|console)\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        return [line.partition("  #")[0].rstrip() for block in blocks for line in block.splitlines()]

    assert commands(ROOT / "README.md") == commands(ROOT / "README.zh.md")
    assert commands(ROOT / "README.md")[:2] == ["make up", "make test"]


@pytest.mark.parametrize("name", ["README.md", "README.zh.md", "CONTRIBUTING.md", "docs/differences.md"])
def test_documents_name_files_that_exist(name: str) -> None:
    named = re.findall(r"`((?:labkit|tests|labs|walkthroughs)/[\w./-]+)`", (ROOT / name).read_text(encoding="utf-8"))
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []
