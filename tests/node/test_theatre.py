"""The guide's second pane in a real tmux: what is typed there, how its end is noticed, a side view."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.guide.machines import Machines
from labkit.guide.places import Spot
from labkit.guide.theatre import _GUIDED, LAST, PANES, Theatre, farewell
from labkit.provision.errors import CommandFailed

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
HERE = Spot("here")


class Local(Machines):
    """Machines that are all this one: a shell is a bash of ours."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def shell_command(self, machine: str, prompt: str) -> list[str]:
        self.opened.append(machine)
        return ["bash", "-c", f"exec bash --noprofile --rcfile <(echo {shlex.quote(prompt)}) -i"]


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tmux server of the test's own, with the guide's pane."""
    name = f"labkit-test-{os.getpid()}"
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.delenv("TMUX", raising=False)
    tmux = ["tmux", "-L", name, "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "-x", "160", "-y", "40", "sleep 600"], check=True)
    pane = subprocess.run([*tmux, "display-message", "-p", "#{pane_id}"], capture_output=True, text=True, check=True)
    monkeypatch.setenv("TMUX_PANE", pane.stdout.strip())
    monkeypatch.setenv(PANES, name)
    yield name
    subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def shown(socket: str, pane: int) -> str:
    command = ["tmux", "-L", socket, "capture-pane", "-p", "-t", f":0.{pane}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def eventually(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_command_is_typed_into_the_shell_and_its_end_is_noticed(socket: str) -> None:
    desk = Theatre(socket, Local(), "lab")
    assert desk.run(HERE, "echo so it is", 20, {}).rc == 0
    assert "so it is" in shown(socket, 1)
    assert desk.run(HERE, "(exit 7)", 20, {}).rc == 7
    assert desk.run(HERE, 'for word in one two; do\n  echo "$word $FOUND"\ndone', 20, {"FOUND": "x y"}).rc == 0
    assert "two x y" in shown(socket, 1)
    assert desk.run(HERE, "sleep 30", 1, {}).rc == 124


def test_the_shell_moves_to_another_machine_and_comes_back_when_it_was_left(socket: str) -> None:
    local = Local()
    desk = Theatre(socket, local, "lab")
    desk.at(HERE)
    desk.at(HERE)
    desk.at(Spot("there"))
    assert local.opened == ["here", "there"]
    subprocess.run(["tmux", "-L", socket, "send-keys", "-t", ":0.1", "exit", "Enter"], check=True)
    eventually(lambda: not desk._alive())
    assert desk.run(Spot("there"), "true", 20, {}).rc == 0
    assert local.opened == ["here", "there", "there"]


def test_a_shell_that_ends_under_a_command_is_said_at_once_and_comes_back(socket: str) -> None:
    desk = Theatre(socket, Local(), "lab")
    desk.at(HERE)
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="the shell in the other pane has ended"):
        desk.run(HERE, "exec true", 300, {})
    assert time.monotonic() - began < 60
    assert desk.run(HERE, "true", 60, {}).rc == 0


def test_what_is_said_last_stays_in_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAST, str(tmp_path / "last"))
    farewell("kept")
    farewell("labkit up")
    assert (tmp_path / "last").read_text() == "kept\nlabkit up\n"


def test_a_side_view_comes_and_goes(socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/echo")  # what would be labkit lab view pods
    desk = Theatre(socket, Local(), "lab")
    desk.at(HERE)
    count = ["tmux", "-L", socket, "list-panes"]
    subprocess.run(["tmux", "-L", socket, "set-option", "-g", "remain-on-exit", "on"], check=True)
    assert desk.view("pods") == ""
    assert len(subprocess.run(count, capture_output=True, text=True, check=True).stdout.splitlines()) == 3
    desk.view("pods")
    assert len(subprocess.run(count, capture_output=True, text=True, check=True).stdout.splitlines()) == 2


def test_why_a_guide_could_not_begin_is_to_be_read_when_the_panes_are_gone(socket: str, tmp_path: Path) -> None:
    tmux = ["tmux", "-L", socket]
    guide = ["env", "-u", "TMUX", "-u", PANES, "LC_ALL=C.UTF-8", f"XDG_STATE_HOME={tmp_path}",
             sys.executable, "-m", "labkit.cli", "lab", "redis-master", "--cluster", "nowhere"]  # fmt: skip
    then = f"{shlex.join(guide)}; echo code $?; sleep 600"
    subprocess.run([*tmux, "new-window", "-d", "-t", ":5", "sh", "-c", then], check=True)

    def on_screen() -> str:
        command = [*tmux, "capture-pane", "-J", "-p", "-t", ":5"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    end = time.monotonic() + 120
    while "code " not in on_screen() and time.monotonic() < end:
        time.sleep(0.2)
    assert "there is no cluster 'nowhere'" in on_screen()
    assert "code 2" in on_screen()
    assert "detached" not in on_screen()


def test_a_ctrl_c_is_the_guides_and_its_exit_code_is_still_told(socket: str, tmp_path: Path) -> None:
    ended, last = tmp_path / "ended", tmp_path / "last"
    guide = ["bash", "-c", "trap 'exit 130' INT; echo so far; while :; do sleep 0.1; done"]
    pane = ["sh", "-c", _GUIDED, "sh", socket, str(ended), str(last), *guide]
    subprocess.run(["tmux", "-L", socket, "split-window", "-d", *pane], check=True)
    eventually(lambda: "so far" in shown(socket, 1))
    subprocess.run(["tmux", "-L", socket, "send-keys", "-t", ":0.1", "C-c"], check=True)
    eventually(lambda: ended.exists() and ended.read_text() == "130\n")
    assert "so far" in last.read_text()
