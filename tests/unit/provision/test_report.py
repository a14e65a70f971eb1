"""What is shown while machines are made: with a terminal, and where there is none."""

import io

import pytest
from rich.console import Console

from labkit.provision import report
from labkit.provision.report import ConsoleReport


def plain() -> tuple[io.StringIO, ConsoleReport]:
    out = io.StringIO()
    return out, ConsoleReport(Console(file=out, width=100))


def test_each_step_ends_with_a_line_that_names_machine_time_and_step() -> None:
    out, told = plain()
    with told:
        told.step("agent1", "write 14 files")
        told.step("agent1", "start kubelet")
        told.failed("agent1")
    lines = out.getvalue().splitlines()
    assert [line.split()[0:2] for line in lines] == [["agent1", "done"], ["agent1", "failed"]]
    assert lines[0].endswith("s  write 14 files")
    assert "\x1b" not in out.getvalue()


def test_without_a_terminal_a_long_step_says_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out, told = plain()
    with told:
        told.step("host", "boot the machines")
        told.detail("host", "too early to speak")
        monkeypatch.setattr(report, "SPEAK_SECONDS", 0)
        told.detail("host", "unpacking packages")
        told.detail("agent1", "nobody began this")
    assert "boot the machines: unpacking packages" in out.getvalue()
    assert "too early" not in out.getvalue()
    assert "nobody" not in out.getvalue()


def test_with_a_terminal_every_machine_has_its_line() -> None:
    out = io.StringIO()
    told = ConsoleReport(Console(file=out, width=100, force_terminal=True))
    with told:
        told.step("master", "start etcd")
        told.step("agent1", "write 14 files")
        told.detail("agent1", "half of them")
        Console(file=out, width=100).print(told._table())
    shown = out.getvalue()
    for word in ("master", "start etcd", "agent1", "write 14 files", "half of them"):
        assert word in shown
