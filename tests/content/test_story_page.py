"""docs/story.md: what was recorded there is of this labkit."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "story.md").read_text()


def test_every_hop_names_a_file_that_there_is() -> None:
    named = set(re.findall(r"└ \S+ +(\S+\.py):\d+$", PAGE, re.MULTILINE))
    assert len(named) > 10
    missing = [
        file for file in named if not (ROOT / file).exists() and not (ROOT / "labkit/components" / file).exists()
    ]
    assert not missing, f"record it again: python docs/record.py docs/story.md; not there any more: {missing}"


def test_the_pictures_are_there_and_the_text_fits_80_columns() -> None:
    for name in re.findall(r"\]\(([\w-]+\.svg)\)", PAGE):
        assert (ROOT / "docs" / name).read_text().startswith("<svg")
    recorded = [line for fence in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in fence.splitlines()]
    assert max(len(line) for line in recorded if not line.startswith("$ ")) <= 80
