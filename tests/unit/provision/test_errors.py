"""A failure says what failed, with the last lines; and the mend, where the host ran out of something."""

import pytest

from labkit.provision.errors import CommandFailed, with_reason


@pytest.mark.parametrize(
    ("tail", "mend"),
    [
        ("tar: opt/labkit: Cannot write: No space left on device", "make room on the disk"),
        ("docker: Error response from daemon: ... cannot allocate memory", "memory ran out"),
        ("etcd.service: Failed with result 'oom-kill'.", "raise the machine's memoryMB"),
        ("etcd.service: Main process exited, code=killed, status=9/KILL", "raise the machine's memoryMB"),
        (with_reason("Installing collected packages", 137).splitlines()[-1], "raise the machine's memoryMB"),
        ("accept4: too many open files", "raise the limit of files"),
    ],
)
def test_a_host_that_runs_out_of_something_is_told_what_and_that_nothing_is_lost(tail: str, mend: str) -> None:
    said = str(CommandFailed("host", "boot the machines", "vagrant up", 1, tail))
    assert f"  | {tail}" in said
    assert mend in said
    assert "it goes on where it stopped" in said


def test_what_was_killed_says_nothing_of_it_itself() -> None:
    assert with_reason("half a line", 1) == "half a line"
    assert with_reason("half a line\n", -9).startswith("half a line\nit was killed: the kernel")


def test_other_failures_get_no_such_advice() -> None:
    assert str(CommandFailed("agent1", "start kubelet", "systemctl", 1, "no module")).endswith("| no module")


def test_a_mirrors_password_is_not_repeated() -> None:
    said = str(CommandFailed("host", "fetch", "get http://me:secret@mirror/x", 1, "E: https://me:secret@mirror/x: 404"))
    assert "secret" not in said
    assert "E: https://...@mirror/x: 404" in said
