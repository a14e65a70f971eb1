"""Run a program on the host: bounded in time, its lines passed on as they come, its children ended with it."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from labkit.provision.errors import TAIL_LINES, CommandFailed, TimedOut, with_reason

OnLine = Callable[[str], None]
Process = subprocess.Popen[str]
CLEANING_UP = 60.0
"""Seconds for a program on a leash to remove what it has made so far."""


def run(
    what: str,
    command: Sequence[str],
    *,
    timeout: float,
    on_line: OnLine | None = None,
    env: Mapping[str, str] | None = None,
    leash: bool = False,
    cwd: Path | None = None,
) -> str:
    """What the command printed, both streams in one.

    what: what is being done, in words, for errors. timeout: seconds. env: added to the environment.
    leash: the command's standard input stays open as long as we live, and closes when we die (otherwise it is empty);
    and it is given time to clean up.
    Raises CommandFailed when it cannot be started or exits other than 0, TimedOut when it does not end in time.
    """
    printed: list[str] = []
    text = " ".join(command)
    patience = CLEANING_UP if leash else 5.0
    with _started(what, command, env, leash, cwd) as process, _ended_after(process, timeout, patience) as late:
        for raw in process.stdout or ():
            printed.append(raw.rstrip())
            if on_line:
                on_line(printed[-1])
        rc = process.wait()
    tail = "\n".join(deque(printed, maxlen=TAIL_LINES))
    if late.is_set():
        raise TimedOut("host", what, timeout, text, tail)
    if rc != 0:
        raise CommandFailed("host", what, text, rc, with_reason(tail, rc))
    return "\n".join(printed)


def end(process: Process, patience: float = 5) -> None:
    """End the process and its children: politely, and after `patience` seconds for good."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


@contextlib.contextmanager
def _started(
    what: str, command: Sequence[str], env: Mapping[str, str] | None, leash: bool, cwd: Path | None
) -> Iterator[Process]:
    """The process in a group of its own; it does not outlive the block, whatever ends the block (Ctrl-C too)."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if leash else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            cwd=cwd,
            process_group=0,
        )
    except OSError as exc:
        raise CommandFailed("host", what, " ".join(command), tail=f"{command[0]}: {exc.strerror}") from exc
    with process:
        try:
            yield process
        finally:
            end(process, CLEANING_UP if leash else 5)


@contextlib.contextmanager
def _ended_after(process: Process, timeout: float, patience: float) -> Iterator[threading.Event]:
    """A timer that ends the process; the event tells whether it had to."""
    late = threading.Event()

    def expire() -> None:
        late.set()
        end(process, patience)

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()
