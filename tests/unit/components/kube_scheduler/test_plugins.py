"""Functions of other people behind the fence: found by entry point, refused by name when they misbehave."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.api.types import Node, ObjectMeta, Pod
from labkit.components.kube_scheduler import plugins
from labkit.components.kube_scheduler.plugins import PluginTrouble
from labkit.components.kube_scheduler.view import View

NODE = Node(metadata=ObjectMeta(name="agent1"))


def forever(*_: Any) -> bool:
    while True:
        pass


def raising(*_: Any) -> bool:
    return bool({}["x"])


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (raising, "predicate Odd: KeyError: 'x'"),
        (lambda *_: "yes", "predicate Odd: TypeError: expected True or False, got 'yes'"),
        (forever, "predicate Odd: TimeoutError: no answer within 0.2 s"),
        (lambda *_: time.sleep(60), "predicate Odd: TimeoutError: no answer within 0.2 s"),
        (lambda: True, "predicate Odd: TypeError: .*takes 0 positional arguments but 3 were given"),
    ],
)
def test_a_predicate_that_misbehaves(function: Callable[..., Any], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins.fence.__wrapped__, "__defaults__", (0.2,))  # type: ignore[attr-defined]
    with pytest.raises(PluginTrouble, match=text):
        plugins.predicate("Odd", function)(Pod(), NODE, View())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({}, "priority Odd: TypeError: expected a score for each of agent1, got {}"),
        ({"agent1": 11}, "priority Odd: ValueError: expected scores from 0 to 10, got 11"),
        ({"agent1": "1"}, "priority Odd: ValueError: expected scores from 0 to 10, got '1'"),
        ({"agent1": True}, "priority Odd: ValueError: expected scores from 0 to 10, got True"),
    ],
)
def test_a_priority_that_misbehaves(answer: object, text: str) -> None:
    with pytest.raises(PluginTrouble, match=text):
        plugins.priority("Odd", lambda *_: answer)(Pod(), [NODE], View())


def test_one_that_behaves() -> None:
    assert plugins.predicate("Even", lambda pod, node, view: False)(Pod(), NODE, View()) is False
    assert plugins.priority("Even", lambda pod, nodes, view: {"agent1": 10})(Pod(), [NODE], View()) == {"agent1": 10}


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    info = folder / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[labkit.scheduler.predicates]\nEvenNodesOnly = {target}\n")
    (folder / "mine_of_the_test.py").write_text(
        "def even(pod, node, view):\n    return node.metadata.name[-1] in '02468'\n"
    )
    monkeypatch.syspath_prepend(str(folder))


def test_a_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, "mine_of_the_test:even")
    known = plugins.known_predicates()
    assert known["EvenNodesOnly"](Pod(), NODE, View()) is False
    assert known["HostName"](Pod(), NODE, View()) is True
    sys.modules.pop("mine_of_the_test")


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, "mine_of_the_test:odd")
    with pytest.raises(PluginTrouble, match="EvenNodesOnly = 'mine_of_the_test:odd' cannot be loaded: AttributeError"):
        plugins.known_predicates()
    sys.modules.pop("mine_of_the_test")
