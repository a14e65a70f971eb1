"""`make interrupts`: Ctrl-C after every kind of step that `labkit up` tells of, and what the next try makes of that.

    python -m tests.interrupts [--agents 1]

A cluster of its own, from nothing. Each `up` is interrupted at the first step that none before was interrupted at, so
each goes on from where the last was cut off and comes a step further, until one is through. In every other turn the
interrupt comes a moment later, in the middle of the next step. Like a terminal's, it goes to all processes.

Passes when each interrupted run ends soon, with 130 and a word on how to go on; when the last `up` makes a cluster
that the next finds nothing to do on, and the doctor finds well; and when a `destroy` that was interrupted is done by
the next one, which leaves no container and no network behind. Minutes, hence no part of `make test`.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CLUSTER, MACHINES = "ctrlc", "10.245.233.0/24"
ENDS_WITHIN = 60.0  # seconds after the interrupt: children clean up
LAST = "wait until every node is Ready"  # after which there is nothing left to interrupt
MIDDLE = 0.7  # seconds into a step
WHOLE = 900.0  # for all


class Failed(Exception):
    """What was seen, with the command's words."""


class Commands:
    """labkit, as a terminal runs it."""

    def __init__(self, home: Path) -> None:
        self._env = {**os.environ, "LABKIT_HOME": str(home), "LABKIT_CLUSTER": CLUSTER}

    def run(self, *words: str) -> str:
        with self._start(words) as process:
            said, _ = process.communicate(timeout=600)
        if process.returncode:
            raise Failed(f"labkit {' '.join(words)} ended with {process.returncode}:\n{said}")
        return said

    def interrupted(self, *words: str, done: set[str], later: float) -> str:
        """What it said, interrupted so many seconds after the first step that is not in `done`, which it joins;
        nothing when it was through before."""
        with self._start(words) as process:
            assert process.stdout is not None
            said, step = "", ""
            for line in process.stdout:
                said += line
                step = kind(line)
                if step and step not in done:
                    done.add(step)
                    break
            time.sleep(later)
            try:
                os.killpg(process.pid, signal.SIGINT)
            except ProcessLookupError:
                pass
            sent = time.monotonic()
            killer = threading.Timer(ENDS_WITHIN, process.kill)
            killer.start()
            rest = process.stdout.read()
            code = process.wait()
            killer.cancel()
        if code == 0:
            return ""
        took, last = time.monotonic() - sent, rest.strip().splitlines()[-1:]
        print(f"  after {step!r} + {later:g} s: exit {code} {took:.1f} s later; {last}")
        if code != 130 or "Traceback" in said + rest:
            raise Failed(f"labkit {' '.join(words)} ended with {code} after Ctrl-C:\n{said}{rest}")
        return said + rest

    def _start(self, words: tuple[str, ...]) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "labkit.cli", *words]
        return subprocess.Popen(
            command, env=self._env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def kind(line: str) -> str:
    """Of `master    done      0.4 s  write 52 files`: `write # files`; nothing where the line tells of no step."""
    found = re.match(r"\S+ +(?:done|\.\.\.) +[\d.]+ s  ([^:]*)", line)
    return re.sub(r"\d+", "#", found[1].strip()) if found else ""


def left() -> list[str]:
    """Containers and networks of the cluster."""
    found = []
    for what in (["ps", "--all"], ["network", "ls"]):
        command = ["docker", *what, "--quiet", "--filter", f"label=labkit.cluster={CLUSTER}"]
        found += subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return found


def sweep(labkit: Commands, agents: int) -> int:
    """How many times it was interrupted."""
    labkit.run("init", "--agents", str(agents), "--machines", MACHINES)
    deadline, done = time.monotonic() + WHOLE, {LAST}
    while said := labkit.interrupted("up", done=done, later=MIDDLE if len(done) % 2 else 0.0):
        if "goes on from here" not in said:
            raise Failed(f"Ctrl-C says nothing of how to go on:\n{said}")
        if time.monotonic() > deadline:
            raise Failed(f"{len(done)} turns took more than {WHOLE:g} s")
    print("up", labkit.run("up").splitlines()[-5])
    if "nothing to do" not in (again := labkit.run("up")):
        raise Failed(f"`labkit up` after that still finds something:\n{again}")
    labkit.run("doctor")
    return len(done) - 1


def end(labkit: Commands) -> None:
    labkit.interrupted("destroy", "--yes", done=set(), later=0.0)
    labkit.run("destroy", "--yes")
    if found := left():
        raise Failed(f"`labkit destroy` has left {found}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make interrupts", description=__doc__.partition("\n")[0])
    parser.add_argument("--agents", type=int, default=1)
    agents: int = parser.parse_args().agents
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it, and theirs
    with tempfile.TemporaryDirectory(prefix="labkit-ctrlc-") as home:
        labkit = Commands(Path(home))
        try:
            labkit.run("image")
            turns = sweep(labkit, agents)
            end(labkit)
        except Failed as exc:
            print(exc)
            labkit.run("destroy", "--yes")
            return 1
    print(f"interrupted {turns} times: every time it went on, and at the end it was a cluster like any other")
    return 0


if __name__ == "__main__":
    sys.exit(main())
