"""A run at a terminal: what was typed, what it printed, how long it took, and what must be true of it."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Run:
    """Commands go through a shell here, or through `ssh` on another computer."""

    def __init__(self, transcript: Path, environment: dict[str, str]) -> None:
        transcript.parent.mkdir(parents=True, exist_ok=True)
        self.file = transcript.open("w")
        self.environment = os.environ | environment
        self.passed = self.failed = 0

    def write(self, text: str) -> None:
        for stream in (sys.stdout, self.file):
            stream.write(text)
            stream.flush()

    def sh(self, command: str, timeout: int = 3600, ssh: Sequence[str] = (), prompt: str = "$") -> str:
        """Type it; what it printed. A command that fails ends the test.

        ssh: the words that lead to another computer, prompt: how that one is told apart.
        """
        self.write(f"\n{prompt} {command}\n")
        began, used = time.monotonic(), _cpu()
        whole = f"set -o pipefail; {command}"
        words = [*ssh, f"bash -lc {shlex.quote(whole)}"] if ssh else ["bash", "-c", whole]
        code, text = self._typed(words, timeout)
        load = os.getloadavg()[0]
        self.write(f"[{time.monotonic() - began:.0f} s, {_cpu() - used:.0f} s of processor time, load {load:.1f}]\n")
        if code:
            self.check(f"`{command}` exits 0 (it exits {code})", False)
            raise SystemExit(1)
        return text

    def _typed(self, words: Sequence[str], timeout: int) -> tuple[int, str]:
        """Its exit code and what it printed, shown as it comes. A shell's `timeout` ends it and all that it started."""
        printed = []
        bounded = ["timeout", "--kill-after=30", str(timeout), *words]
        with subprocess.Popen(
            bounded, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            for line in process.stdout or ():
                printed.append(line.rstrip().rpartition("\r")[2] + "\n")
                self.write(printed[-1])
        return process.returncode, "".join(printed)

    def check(self, what: str, holds: bool) -> None:
        self.write(f"{'ok' if holds else 'NOT OK'}: {what}\n")
        self.passed, self.failed = self.passed + holds, self.failed + (not holds)


def _cpu() -> float:
    """Processor seconds of the host, of everybody: QEMU is no child of ours."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
