"""The one step that could lock us out: routes and firewall chains, with a dead man's switch.

    first connection     a timer on the host: in 30 s the network is as it was    then `lab-net up`
    NEW connection       the timer is cancelled, the step is kept for boots to come

A connection that is there already would survive rules that let no new one in, so it proves nothing.
"""

import time
from contextlib import suppress

from labkit.provision.errors import CommandFailed, TimedOut, Unreachable
from labkit.provision.ssh import Ssh

SECONDS = 30
UNIT = "labkit-rollback"
ARM = (
    f"systemctl reset-failed {UNIT}.timer {UNIT}.service 2>/dev/null; systemctl stop {UNIT}.timer 2>/dev/null;"
    f" systemd-run --quiet --collect --unit={UNIT} --on-active={SECONDS} --timer-property=AccuracySec=100ms"
    " systemctl disable --quiet --now lab-net"
)
CANCEL = f"systemctl stop {UNIT}.timer && systemctl is-active --quiet lab-net && systemctl enable --quiet lab-net"


def step(ssh: Ssh) -> None:
    """Raises CommandFailed when it was rolled back, or failed by itself."""
    ssh.run(f"{ARM} && systemctl daemon-reload", timeout=20, what="arm the network step's undoing")
    began = time.monotonic()
    with suppress(Unreachable, TimedOut):  # whether we were cut off is asked on the new connection
        ssh.run("systemctl restart lab-net", timeout=15, what="the network step")
    ssh.hang_up()
    try:
        ssh.connect(wait=max(1.0, (SECONDS - 5 - (time.monotonic() - began)) / ssh.patience))
        kept = ssh.run(CANCEL, timeout=15, check=False, what="keep the network step").rc == 0
    except (Unreachable, TimedOut):
        kept = False
    if not kept:
        raise CommandFailed(ssh.machine.name, "the network step", tail=_why(ssh))


def _why(ssh: Ssh) -> str:
    """After the timer has rung, what the host says."""
    ssh.hang_up()
    try:
        ssh.connect(wait=SECONDS + 30)
        return f"SSH did not come back within {SECONDS} s, so the host has undone it: its network is as before"
    except Unreachable as exc:
        return f"SSH did not come back, also not after the host should have undone it: {exc.tail}"
