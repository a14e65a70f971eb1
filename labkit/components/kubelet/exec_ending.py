"""The end of a command whose client has left: `kubectl exec -- cat /dev/zero`, and the terminal is closed.

    its stdin ends -> half a second -> SIGHUP to its process group -> half a second -> SIGKILL

Docker has no word for hanging up on an exec; the command is a process of this machine, though, a session of its own
whose number docker tells. It is only touched while it is in the container's control group: a number may long be another
process's. Where docker is another machine's, or we are not root, the command runs on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from labkit.components.kubelet.runtime import RuntimeFailure

PATIENCE_SECONDS = 0.5
LOOK_SECONDS = 0.05

Inspect = Callable[[], Awaitable[Mapping[str, Any]]]
"""What docker says of the exec: Running, Pid, ContainerID."""


async def end_command(inspect: Inspect, proc: Path = Path("/proc")) -> None:
    """Whatever goes wrong, nothing is raised: nobody is there to be told."""
    try:
        for number in (signal.SIGHUP, signal.SIGKILL):
            found = await _still_running(inspect)
            if found is None:
                return
            _kill(found, number, proc)
    except (RuntimeFailure, OSError):
        return


async def _still_running(inspect: Inspect) -> Mapping[str, Any] | None:
    """After some patience; None when it has ended."""
    for _ in range(round(PATIENCE_SECONDS / LOOK_SECONDS)):
        found = await inspect()
        if not found["Running"]:
            return None
        await asyncio.sleep(LOOK_SECONDS)
    return found


def _kill(found: Mapping[str, Any], number: signal.Signals, proc: Path) -> None:
    """Raises OSError: it is gone, or not ours to kill."""
    pid, container = int(found.get("Pid") or 0), str(found["ContainerID"])
    if pid <= 1 or container not in (proc / str(pid) / "cgroup").read_text():
        return
    if os.getpgid(pid) == pid:
        os.killpg(pid, number)
    else:
        os.kill(pid, number)
