"""What a service wrote: systemd's journal on its machine."""

from labkit.provision.errors import CommandFailed
from labkit.provision.ssh import Ssh

LAST_LINES = 12


def command(unit: str, lines: int = LAST_LINES, follow: bool = False) -> str:
    """Prints the last lines of a unit's journal as the unit wrote them, and with `follow` those to come."""
    return f"journalctl --unit {unit} --lines {lines} --output cat " + ("--follow" if follow else "--no-pager")


def last_words(ssh: Ssh, units: tuple[str, ...]) -> str:
    """The last lines of those units that do not run; empty when all do, or when nobody can be asked."""
    if not units:
        return ""
    ask = f"for unit in {' '.join(units)}; do systemctl is-active --quiet $unit || {command('$unit')}; done"
    try:
        return ssh.run(ask, timeout=10, check=False).out
    except CommandFailed:
        return ""
