"""The examples in `--help` are commands that exist, spelled as they are typed; and what else the command line says."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import __version__, cli
from labkit.cli import examples

Run = Callable[..., str]
REPOSITORY = Path(__file__).resolve().parents[2]


def commands(command: Any, path: str = "") -> list[str]:
    """`up`, `fault kill`, ...: everything that can be typed."""
    if not hasattr(command, "commands"):
        return [path]
    return [found for name, below in command.commands.items() for found in commands(below, f"{path} {name}".strip())]


def test_every_command_has_an_example_in_its_help() -> None:
    assert [path for path in commands(cli.command()) if not examples.of(path)] == []


@pytest.fixture(scope="module")
def built() -> Any:
    return cli.command()


@pytest.mark.parametrize("typed", [typed for typed, _ in examples.read()])
def test_the_example_is_right(typed: str, built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are taken apart as when they are typed: an option or command that is not there is an error."""
    monkeypatch.chdir(REPOSITORY)
    words, command, context = shlex.split(typed), built, None
    while hasattr(command, "commands"):
        name = words.pop(0)
        command = command.commands[name]
        group = hasattr(command, "commands")
        context = command.make_context(name, [] if group else list(words), context, resilient_parsing=group)


def test_help_shows_them(labkit: Run) -> None:
    said = labkit("logs", "--help")
    assert "Examples:" in said
    assert "labkit logs kubelet -m agent1 -f" in said


def test_version(labkit: Run) -> None:
    assert labkit("--version") == f"labkit {__version__}\n"
    assert f"## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_bash_completes_commands_and_machines(labkit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    labkit("init")
    monkeypatch.setenv("_LABKIT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_CWORD", "2")
    for typed, offered in (("labkit fault k", ["kill"]), ("labkit ssh ag", ["agent1", "agent2"])):
        monkeypatch.setenv("COMP_WORDS", typed)
        assert labkit().split() == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str, labkit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_LABKIT_COMPLETE", "")  # so that what the command sets is gone afterwards
    script = labkit("completion", shell)
    assert f"_LABKIT_COMPLETE=complete_{shell}" in script


@pytest.fixture
def labkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Types `labkit WORDS`: what it printed."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("LABKIT_CLUSTER", raising=False)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["labkit", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr().out

    return run
