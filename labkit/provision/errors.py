"""What can go wrong between the host and the machines.

    CommandFailed        a command, or a wait for something, on a machine (or on the host: machine "host") failed
    ├── TimedOut         it did not end within its bound
    └── Unreachable      no SSH connection to the machine
    BundleError          a bundle that cannot be used

The first three say which machine, what was being done, the command, and the last lines that it printed. Exit code 3.
"""

import re

TAIL_LINES = 12
"""How many of a command's last lines are worth showing."""


KILLED = 137
"""The exit code that a shell tells of a child that was sent SIGKILL; our own child's is -9."""
_SOMEBODY_KILLED_IT = "it was killed: the kernel does that when memory runs out"

_MEMORY = (
    "memory ran out there: end other programs, run fewer pods, or raise the machine's memoryMB in cluster.json"
    " (`labkit doctor` says how much is used)"
)
_DISK = "make room on the disk: `labkit doctor` says where it is short"
EXHAUSTED = {
    "no space left on device": _DISK,
    "disk quota exceeded": _DISK,
    "cannot allocate memory": _MEMORY,
    "out of memory": _MEMORY,
    "oom-kill": _MEMORY,
    "oom killer": _MEMORY,
    "status=9/kill": _MEMORY,  # systemd's word of a service where it is not told by whom (cgroup v1)
    _SOMEBODY_KILLED_IT: _MEMORY,
    "too many open files": "raise the limit of files: `labkit doctor` says how",
}
"""What a program says when the host runs out of something half-way, and the mend."""


def with_reason(printed: str, rc: int) -> str:
    """What a command printed, which says nothing of its sudden end."""
    return f"{printed.rstrip()}\n{_SOMEBODY_KILLED_IT}" if rc in (KILLED, -9) else printed


def without_passwords(text: str) -> str:
    """`http://user:secret@mirror/x` as `http://...@mirror/x`: what programs print of a URL goes to screens and logs."""
    return re.sub(r"(?<=://)[^/@\s]+@", "...@", text)


class CommandFailed(Exception):
    """`what` is what was being done, in words ("start kube-proxy"); `tail` the last lines of output or of a journal."""

    exit_code = 3

    def __init__(self, machine: str, what: str, command: str = "", rc: int | None = None, tail: str = "") -> None:
        self.machine = machine
        self.what = what
        self.command = without_passwords(command)
        self.rc = rc
        self.tail = "\n".join(without_passwords(tail).strip().splitlines()[-TAIL_LINES:])
        super().__init__(self._text())

    def _text(self) -> str:
        ending = f" (exit code {self.rc})" if self.rc is not None else ""
        lines = [f"{self.machine}: {self.what} failed{ending}"]
        if self.command and self.command != self.what:
            lines.append(f"  command: {self.command if len(self.command) < 300 else self.command[:300] + ' ...'}")
        lines += [f"  | {line}" for line in self.tail.splitlines()]
        if mend := next((mend for sign, mend in EXHAUSTED.items() if sign in self.tail.lower()), ""):
            lines.append(f"  {mend}; then the same command again: it goes on where it stopped")
        return "\n".join(lines)


class TimedOut(CommandFailed):
    """Not done in time; `seconds` is the bound that was kept."""

    def __init__(self, machine: str, what: str, seconds: float, command: str = "", tail: str = "") -> None:
        self.seconds = seconds
        super().__init__(machine, f"{what} within {seconds:g} s", command, None, tail)


class Unreachable(CommandFailed):
    """The machine does not answer on its SSH port, or does not know the cluster's key."""


class BundleError(Exception):
    """A file that is no bundle, not whole, not what was signed, or for another labkit. Exit code 2."""

    exit_code = 2
