"""The end of a command whose client has left, with real processes in the part of docker's."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from labkit.components.kubelet.exec_ending import end_command
from labkit.components.kubelet.runtime import RuntimeUnavailable

CONTAINER = "c0ffee"
IGNORES_HUP = "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
MINDS_HUP = "import time; print(1, flush=True); time.sleep(60)"


@pytest.fixture
async def command(request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", request.param, stdout=PIPE, start_new_session=True
    )
    assert process.stdout is not None
    await process.stdout.readline()
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


def proc(folder: Path, pid: int, container: str) -> Path:
    (folder / str(pid)).mkdir()
    (folder / str(pid) / "cgroup").write_text(f"4:memory:/docker/{container}\n")
    return folder


async def inspected(process: Process) -> dict[str, Any]:
    return {"Running": process.returncode is None, "Pid": process.pid, "ContainerID": CONTAINER}


@pytest.mark.parametrize(
    ("command", "number"), [(MINDS_HUP, signal.SIGHUP), (IGNORES_HUP, signal.SIGKILL)], indirect=["command"]
)
async def test_it_is_asked_and_then_made_to(command: Process, number: signal.Signals, tmp_path: Path) -> None:
    await end_command(lambda: inspected(command), proc(tmp_path, command.pid, CONTAINER))
    assert await asyncio.wait_for(command.wait(), 10) == -number


@pytest.mark.parametrize("command", [MINDS_HUP], indirect=True)
async def test_somebody_else_has_its_number_now(command: Process, tmp_path: Path) -> None:
    await end_command(lambda: inspected(command), proc(tmp_path, command.pid, "another"))
    assert command.returncode is None


async def test_docker_is_away() -> None:
    async def away() -> dict[str, Any]:
        raise RuntimeUnavailable("docker does not answer")

    await end_command(away)
