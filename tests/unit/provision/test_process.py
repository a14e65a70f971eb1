"""Programs on the host: bounded, ended with their children, and their words kept for the error."""

import time
from pathlib import Path

import pytest

from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.process import run


def gone(pid: int, within: float = 20) -> bool:
    """Whether the process has ended (or is a zombie) within so many seconds."""
    deadline = time.monotonic() + within
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().split()[2] != "Z":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_lines_of_both_streams_come_in_order_and_as_a_whole() -> None:
    seen: list[str] = []
    printed = run(
        "talk",
        ["sh", "-c", "echo one; echo two >&2; echo $WORD"],
        timeout=10,
        on_line=seen.append,
        env={"WORD": "three"},
    )
    assert seen == ["one", "two", "three"]
    assert printed == "one\ntwo\nthree"


def test_a_failure_has_the_exit_code_and_the_last_lines() -> None:
    with pytest.raises(CommandFailed) as caught:
        run("count", ["sh", "-c", "seq 100; exit 7"], timeout=10)
    assert (caught.value.machine, caught.value.what, caught.value.rc) == ("host", "count", 7)
    assert caught.value.tail.splitlines()[-1] == "100"
    assert len(caught.value.tail.splitlines()) < 20


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandFailed, match="no-such-program: No such file"):
        run("try", ["no-such-program"], timeout=10)


def test_what_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(TimedOut, match=r"within 0\.5 s"):
        run("sleep", ["sh", "-c", f"sleep 60 & echo $! > {pid}; wait"], timeout=0.5)
    assert time.monotonic() - started < 10
    assert gone(int(pid.read_text()))


def test_an_interrupt_ends_the_program_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("sleep", ["sh", "-c", f"echo $$ > {pid}; echo started; exec sleep 60"], timeout=60, on_line=interrupt)
    assert gone(int(pid.read_text()))


def test_input_is_empty_or_as_long_as_we_live() -> None:
    assert run("read", ["sh", "-c", "cat; echo end"], timeout=10) == "end"
    with pytest.raises(TimedOut):
        run("read", ["cat"], timeout=0.3, leash=True)
