"""The runner of the layers: what fails twice has failed, what passes at the second try is named."""

from pathlib import Path

import pytest

from tests import run as runner

ALWAYS = "def test_never():\n    assert False\n"
ONCE = """
from pathlib import Path

def test_late():
    seen = Path("seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""


def outcome(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, second_try: bool = True) -> runner.Outcome:
    (folder / "tests" / "some").mkdir(parents=True)
    (folder / "tests" / "some" / "test_it.py").write_text(text + "\n\ndef test_fine():\n    pass\n")
    monkeypatch.setattr(runner, "ROOT", folder)
    return runner.run(runner.Layer("some", 60, second_try=second_try), [])


def test_what_fails_twice_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcome(tmp_path, monkeypatch, ALWAYS)
    assert (found.passed, found.failed, found.flaky) == (1, 1, [])


def test_what_passes_at_the_second_try_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcome(tmp_path, monkeypatch, ONCE)
    assert (found.passed, found.failed, found.flaky) == (2, 0, ["tests/some/test_it.py::test_late"])
    assert found.note == "flaky: tests/some/test_it.py::test_late"


def test_most_layers_have_no_second_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcome(tmp_path, monkeypatch, ONCE, second_try=False)
    assert (found.passed, found.failed, found.flaky) == (1, 1, [])


def test_more_than_two_are_no_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = "\n".join(ONCE.replace("test_late", f"test_late{n}").replace('"seen"', f'"seen{n}"') for n in range(3))
    found = outcome(tmp_path, monkeypatch, many)
    assert (found.passed, found.failed, found.flaky) == (1, 3, [])


def test_a_layer_without_tests_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests" / "none").mkdir(parents=True)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    found = runner.run(runner.Layer("none", 60, second_try=True), [])
    assert (found.failed, found.note) == (1, "pytest ended with 5")


def test_side_by_side_the_second_try_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests" / "two").mkdir(parents=True)
    (tmp_path / "tests" / "two" / "test_it.py").write_text(ONCE + "\n\ndef test_fine():\n    pass\n")
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    found = runner.run(runner.Layer("two", 60, second_try=True, side_by_side="load"), [])
    assert (found.passed, found.failed, found.flaky) == (2, 0, ["tests/two/test_it.py::test_late"])
