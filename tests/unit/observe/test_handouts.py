"""The pictures in docs/ name functions that are where they say."""

import ast
import re
from pathlib import Path

import pytest

from labkit.components.kube_proxy.modes import MODES

ROOT = Path(__file__).resolve().parents[3]
_MAKER = re.compile(r"└ (?P<function>[\w.]+)\(\)  (?P<file>labkit/[\w/]+\.py)<")


@pytest.mark.parametrize("mode", MODES)
def test_each_rule_of_a_picture_has_its_function(mode: str) -> None:
    drawn = (ROOT / "docs" / f"packet-{mode}.svg").read_text()
    made = {(found["file"], found["function"]) for found in _MAKER.finditer(drawn)}
    assert len(made) >= 3
    assert drawn.count("  └ ") == len(_MAKER.findall(drawn)), "every maker is read"
    assert f"{mode} mode" in drawn
    for file, function in made:
        assert function in functions(ROOT / file), f"{function} is not in {file}: draw docs/packet-{mode}.svg again"


def functions(path: Path) -> set[str]:
    """`container_portal`, `Balancer.next`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found
