"""The lab break-and-fix: whatever the seed draws can be named with a word of the page's table, in both languages."""

import re
import subprocess

import pytest

from labkit.guide import catalog
from labkit.guide.vary import draw, filled, varied

LAB = catalog.pages(catalog.LABS)["break-and-fix"].parent
# What is drawn on the master (desk.sh); the agents' four faults are in the page itself.
ON_AGENTS = {"proxy-stopped", "kubelet-stopped", "route", "firewall"}


def causes(number: int) -> list[str]:
    """The causes of complaints 1 to 8, for this draw."""
    desk = filled((LAB / "desk.sh").read_text(encoding="utf-8"), {"DRAW": str(number), "ONE": "tea"})
    asked = "\n".join(f"cause {n} >&3" for n in range(1, 9))
    script = desk[: desk.index("{\n  case")] + "{ " + asked + "\n} 3>&1"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("number", [0, 7, 12, 31, 500, 999])
def test_eight_different_faults_are_drawn(number: int) -> None:
    assert len(set(causes(number))) == 8


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_can_be_named_with_a_word_of_the_table(language: str) -> None:
    lab = catalog.load(catalog.LABS, "break-and-fix", language)
    words = set(re.findall(r"`([a-z-]+)`", lab.path.read_text(encoding="utf-8").split("\n## ")[0]))
    drawn = {cause for number in (0, 2, 4, 8, 16, 31, 32, 33) for cause in causes(number)}
    assert len(drawn) == 14
    assert drawn | ON_AGENTS <= words


def test_neighbours_have_other_faults() -> None:
    assert len({tuple(causes(number)) for number in range(12)}) > 8


def test_the_recorded_page_is_drawn_without_a_seed() -> None:
    lab = catalog.load(catalog.LABS, "break-and-fix", "en")
    assert varied(lab, draw(lab, "")).values["DRAW"] == "0"
