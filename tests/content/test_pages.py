"""Every lab and walkthrough, as a page: no cluster needed."""

import re
from pathlib import Path

import pytest

from labkit.cluster import REPOSITORY as ROOT
from labkit.guide import catalog, lint
from labkit.guide.parse import parse

LABS = catalog.pages(catalog.LABS)
PAGES = catalog.named([])


def test_there_are_pages() -> None:
    assert "redis-master" in LABS
    assert "follow-a-pod" in dict(PAGES)


@pytest.mark.parametrize("page", [path for _, page in PAGES for path in catalog.languages_of(page)], ids=str)
def test_a_page_has_no_fault(page: Path) -> None:
    """What `labkit lab check FILE` says; code is refreshed with `python -m labkit.guide.record --code`."""
    lab = parse(page, catalog.name_of(page))
    assert [*lint.faults_of(lab), *lint.against_others(lab)] == []


@pytest.mark.parametrize("page", [page for _, page in PAGES], ids=str)
def test_every_page_is_there_in_every_language(page: Path) -> None:
    assert len(catalog.languages_of(page)) == len(catalog.LANGUAGES)


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
