"""Debian packages that a host lacks: which, and the command that installs them."""

from dataclasses import dataclass
from pathlib import Path

from labkit.cluster import Machine

LIST = Path(__file__).resolve().parents[2] / "templates" / "host" / "packages.txt"
ARCHIVES = "/var/lib/labkit/archives"
"""Where apt puts what it fetches: its own cache stays as it was."""
SECONDS = 900
"""For fetching and installing."""


@dataclass(frozen=True)
class Package:
    """program: that it brings; role: of machines that need it, or `all`."""

    name: str
    program: str
    role: str


def wanted(machine: Machine, text: str = "") -> list[Package]:
    lines = (text or LIST.read_text()).splitlines()
    listed = [Package(*line.split()) for line in lines if line.strip() and not line.startswith("#")]
    return [package for package in listed if package.role in ("all", *machine.roles)]


def missing(machine: Machine) -> str:
    """The command that prints the packages whose programs are not there, a line each."""
    checks = (f"command -v {each.program} >/dev/null || echo {each.name}" for each in wanted(machine))
    return "\n".join(checks)


def install(machine: Machine, options: str = "") -> str:
    """The command that installs what is missing, or does nothing. Nothing that it installs starts by itself.

    options: of apt-get. apt's lists are fetched anew only where they do not have it. A policy-rc.d that was there comes
    back.
    """
    return f"""set -e
missing=$({missing(machine)}
)
missing=$(echo $missing)
[ -n "$missing" ] || exit 0
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
mkdir -p {ARCHIVES}/partial
[ -e $policy.labkit ] || {{ [ -e $policy ] && mv $policy $policy.labkit; }} || :
restore() {{ rm -rf $policy {ARCHIVES}; [ ! -e $policy.labkit ] || mv $policy.labkit $policy; }}
trap restore EXIT
printf '#!/bin/sh\\nexit 101\\n' >$policy
chmod 755 $policy
get() {{ apt-get -q -y {options} -o DPkg::Lock::Timeout=120 -o Dir::Cache::archives={ARCHIVES} \\
  -o Dpkg::Options::=--force-confold install --no-install-recommends $missing; }}
get >/run/labkit-apt.log 2>&1 || {{ apt-get -q {options} update && get; }} >/run/labkit-apt.log 2>&1 ||
  {{ tail -n 8 /run/labkit-apt.log
     echo "these packages are needed: $missing"
     echo "(Ubuntu: most are in universe, kubectl from anywhere; no network: a bundle made with --packages)"
     exit 1; }}
"""
