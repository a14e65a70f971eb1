"""The full-screen guide: text and progress on one side, a real shell on the right machine on the other, both in tmux.

    +--------------------+---------------------+     side by side where the terminal is wide,
    | the guide          | a side view, live   |     one above the other where it is not (80x24)
    |                    +---------------------+
    | > n h c ...        | root@agent1:~#      |     v shows the side view and takes it away
    +--------------------+---------------------+

The guide runs in the first pane as in any other terminal. A command of the page is typed into the shell, where the
learner sees it run; the shell's prompt sets the pane's title to the number of the command and its exit code, and by
that the guide knows that it has ended. tmux is used through its command line; the server is one of our own (-L), so
that a learner's tmux is left alone.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.guide.machines import Machines
from labkit.guide.places import Spot, typed_at
from labkit.guide.stage import Outcome, Stage, with_answers
from labkit.provision.errors import CommandFailed

SMALLEST = (80, 24)
WIDE = 150  # columns from which on two panes stand side by side
STARTS_WITHIN = 15  # seconds that a shell may take to show its first prompt
PANES = "LABKIT_PANES"  # in the guide's environment: it runs in a theatre, and this is the socket's name
LAST = "LABKIT_LAST_WORDS"  # and this the file for what the terminal shows when it is over

# In the guide's pane: $1 the socket, $2 the file for the exit code, $3 the one for last words, then the guide. One that
# ends without a last word (no such cluster, a machine missing, a wrong option) has said why in the pane. A Ctrl-C is
# the guide's alone.
_GUIDED = """trap : INT; socket=$1 ended=$2 last=$3; shift 3; "$@"; code=$?
[ -s "$last" ] || tmux -L "$socket" capture-pane -J -p -S - -t "$TMUX_PANE" > "$last"
echo $code > "$ended"; tmux -L "$socket" detach-client -s labkit"""
_LINE_GONE = "\x1b[1A\x1b[2K"  # tmux's own "[detached ...]"

LEFT = 1  # exit code when the learner left the theatre and not the guide
_SETTINGS = (
    ("set-option", "-g", "status", "off"),
    ("set-option", "-g", "mouse", "on"),
    ("set-option", "-g", "history-limit", "20000"),
    ("set-option", "-g", "default-terminal", "tmux-256color"),
    ("set-option", "-s", "escape-time", "10"),
    # Whoever closes the window ends the theatre, too.
    ("set-hook", "-g", "client-attached", "set-option -s exit-unattached on"),
)
# The prompt sets the title of the pane: command number, exit code. PS0 would come too late, PROMPT_COMMAND too often.
_PROMPT = r"""PS1='\[\e]2;labkit \# $?\a\]\[\e[36m\]\u@\h\[\e[0m\]:\w\$ '"""


def possible() -> bool:
    """Whether this terminal can show two panes: tmux is there, and the terminal is one, and large enough."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return False
    columns, lines = shutil.get_terminal_size()
    return bool(shutil.which("tmux")) and "TMUX" not in os.environ and columns >= SMALLEST[0] and lines >= SMALLEST[1]


def farewell(text: str) -> None:
    """What is to be read when the theatre has closed, too: how the guide ended, and how to come back to it."""
    if path := os.environ.get(LAST):
        with Path(path).open("a", encoding="utf-8") as last:
            print(text, file=last)


def play(cluster: str, arguments: list[str]) -> int:
    """Open the theatre and run the guide in it: `labkit` with these arguments. Its exit code."""
    socket = f"labkit-{cluster}-{os.getpid()}"
    columns, lines = shutil.get_terminal_size()
    guide = [sys.executable, "-m", "labkit.cli", *arguments]
    given = {PANES: socket} | {name: os.environ[name] for name in ("NO_COLOR", "LANG") if name in os.environ}
    with (
        tempfile.NamedTemporaryFile(prefix="labkit-last-") as last,
        tempfile.NamedTemporaryFile(prefix="labkit-ended-") as ended,
    ):
        given[LAST] = last.name
        started = _tmux(
            socket, "-f", "/dev/null", "new-session", "-d", "-s", "labkit", "-x", str(columns), "-y", str(lines),
            *(word for name, value in given.items() for word in ("-e", f"{name}={value}")),
            "sh", "-c", _GUIDED, "sh", socket, ended.name, last.name, *guide,
        )  # fmt: skip
        if started.returncode:
            raise OSError(f"tmux: {started.stderr.strip()}")
        for setting in _SETTINGS:
            _tmux(socket, *setting)
        shown = subprocess.run(["tmux", "-L", socket, "attach", "-t", "labkit"], check=False)
        _tmux(socket, "kill-server")
        said = ended.read().decode().strip()
        over = "" if shown.returncode else _LINE_GONE
        print(over + Path(last.name).read_text(encoding="utf-8", errors="replace").rstrip())
    return int(said) if said.isdigit() else LEFT


def desk(stage: Stage, cluster: str) -> "Theatre | None":
    """The desk of a guide that runs in a theatre; None when it runs in a plain terminal."""
    socket = os.environ.get(PANES)
    return Theatre(socket, stage, cluster) if socket and isinstance(stage, Machines) else None


class Theatre:
    """The other pane: a shell on one machine at a time."""

    far = False

    def __init__(self, socket: str, stage: Machines, cluster: str) -> None:
        self._socket, self._stage, self._cluster = socket, stage, cluster
        self._guide = os.environ.get("TMUX_PANE", "")
        self._machine = ""
        self._pane = ""
        self._view = ""

    def at(self, spot: Spot) -> None:
        """The shell is on the spot's machine, in the lab's folder."""
        if spot.machine == self._machine and self._alive():
            return
        command = shlex.join(self._stage.shell_command(spot.machine, _PROMPT))
        if self._alive():
            self._do("respawn-pane", "-k", "-t", self._pane, command)
        else:
            sideways = int(self._ask("#{window_width}", self._guide) or 0) >= WIDE
            split = ["-h", "-l", "55%"] if sideways else ["-v", "-l", "45%"]
            made = self._do("split-window", "-d", *split, "-P", "-F", "#{pane_id}", "-t", self._guide, command)
            self._pane = made.stdout.strip()
        self._machine = spot.machine
        if not self._until(lambda title: title.startswith("labkit "), STARTS_WITHIN):
            raise CommandFailed(spot.machine, "a shell in the other pane")

    def run(self, spot: Spot, command: str, timeout: float, answers: Mapping[str, str]) -> Outcome:
        """Typed into the shell; the output is there, so none comes back."""
        self.at(spot)
        before = self._title()
        typed = typed_at(spot, with_answers(command, answers))
        subprocess.run(
            ["tmux", "-L", self._socket, "load-buffer", "-"], input=typed.rstrip("\n"), text=True, check=False
        )
        self._do("paste-buffer", "-p", "-d", "-t", self._pane)  # bracketed: several lines are one command
        self._do("send-keys", "-t", self._pane, "Enter")
        after = self._until(lambda title: title != before and title.startswith("labkit "), timeout)
        if after:
            return Outcome(int(after.split()[2]), "")
        if not self._alive():
            raise CommandFailed(spot.machine, "the shell in the other pane has ended: the command")
        return Outcome(124, f"still running after {timeout:g} s")

    def shell(self, spot: Spot) -> None:
        """The keyboard goes to the shell; a click, or Ctrl-b and an arrow, brings it back."""
        self.at(spot)
        self._do("select-pane", "-t", self._pane)

    def view(self, name: str) -> str:
        """Show a side view beside the shell; the same again takes it away."""
        if self._view:
            self._do("kill-pane", "-t", self._view)
            self._view = ""
            return ""
        command = [sys.executable, "-m", "labkit.cli", "lab", "view", name, "--cluster", self._cluster]
        target = self._pane if self._alive() else self._guide
        made = self._do("split-window", "-d", "-b", "-v", "-l", "45%", "-P", "-F", "#{pane_id}", "-t", target,
                        shlex.join(command))  # fmt: skip
        self._view = made.stdout.strip()
        return ""

    def _until(self, good: Callable[[str], bool], seconds: float) -> str | None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._alive():
            if good(title := self._title()):
                return title
            time.sleep(0.1)
        return None

    def _alive(self) -> bool:
        return bool(self._pane) and self._ask("#{pane_dead}", self._pane) == "0"

    def _title(self) -> str:
        return self._ask("#{pane_title}", self._pane)

    def _ask(self, what: str, pane: str) -> str:
        return self._do("display-message", "-p", "-t", pane, what).stdout.strip()

    def _do(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return _tmux(self._socket, *words)


def _tmux(socket: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["tmux", "-L", socket, *words], capture_output=True, text=True, check=False)
