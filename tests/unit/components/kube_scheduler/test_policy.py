"""A policy file: what it switches on, and what is said of a bad one."""

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.components.kube_scheduler import plugins
from labkit.components.kube_scheduler.algorithm import DEFAULT_PROVIDER
from labkit.components.kube_scheduler.policy import PolicyError, load


def policy(folder: Path, **what: Any) -> Path:
    path = folder / "policy.json"
    path.write_text(json.dumps({"kind": "Policy", "apiVersion": "v1", **what}))
    return path


def test_what_is_left_out_is_the_default(tmp_path: Path) -> None:
    assert load(policy(tmp_path)) == DEFAULT_PROVIDER
    only = load(policy(tmp_path, priorities=[{"name": "EqualPriority", "weight": 3}]))
    assert only.predicates == DEFAULT_PROVIDER.predicates
    assert {name: weight for name, (_, weight) in only.priorities.items()} == {"EqualPriority": 3}


def test_a_list_that_is_empty_switches_all_off(tmp_path: Path) -> None:
    assert load(policy(tmp_path, predicates=[])).predicates == {}


def test_the_example_of_its_docstring(tmp_path: Path) -> None:
    from labkit.components.kube_scheduler import policy as module

    text = (module.__doc__ or "").split("\n\n")[1]
    (tmp_path / "p.json").write_text(text)
    found = load(tmp_path / "p.json")
    assert list(found.predicates) == ["PodFitsResources", "OneZone"]
    assert {name: weight for name, (_, weight) in found.priorities.items()} == {"LeastRequestedPriority": 1, "Fast": 5}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"predicates": [{"name": "PodFitPorts"}]}, r"predicates\[0\].name: 'PodFitPorts' is not known; did you mean"
         r" PodFitsPorts\? Known are HostName, MatchNodeSelector"),
        ({"priorities": [{"name": "EqualPriority", "weight": 0}]}, r"`int` >= 1 - at `\$.priorities\[0\].weight`"),
        ({"priorities": [{"name": "EqualPriority"}]}, r"missing required field `weight` - at `\$.priorities\[0\]`"),
        ({"predicates": [{"name": "x", "argument": {}}]}, r"predicates\[0\].argument: expected serviceAffinity or"),
        ({"priorities": [{"name": "x", "weight": 1, "argument": {}}]}, r"priorities\[0\].argument: expected service"),
        ({"predicates": [{"name": "HostName"}, {"name": "HostName"}]}, "predicates: each name may stand there once"),
        ({"predicate": []}, "unknown field `predicate`"),
        ({"kind": "Pod"}, "expected kind Policy of v1, got Pod of v1"),
    ],
)  # fmt: skip
def test_a_bad_policy_is_refused_with_file_and_field(tmp_path: Path, given: dict[str, Any], text: str) -> None:
    with pytest.raises(PolicyError, match=text) as refusal:
        load(policy(tmp_path, **given))
    assert str(refusal.value).startswith(f"{tmp_path}/policy.json: ")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null"])
def test_what_is_no_policy_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.json").write_bytes(content)
    with pytest.raises(PolicyError, match=r"p\.json: "):
        load(tmp_path / "p.json")
    with pytest.raises(PolicyError, match="gone: No such file or directory"):
        load(tmp_path / "gone")


def test_a_plug_in_is_one_of_the_known_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    even = plugins.predicate("Even", lambda pod, node, view: True)
    monkeypatch.setattr("labkit.components.kube_scheduler.policy.known_predicates", lambda: {"Even": even})
    assert load(policy(tmp_path, predicates=[{"name": "Even"}])).predicates == {"Even": even}
