"""Which Python the measured server runs on: the one that the machines have.

Their Debian builds Python with profiles and at link time (PGO, LTO), which takes a sixth off what kube-apiserver's own
code costs; one from pyenv mostly lacks that. A computer that has such a Python of our version serves with it, any other
with the Python that runs the benchmark. The load always runs on the latter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

DEBIANS = "/usr/bin/python3"
_TRY = "import sys, labkit.components.kube_apiserver.__main__, uvloop; print(*sys.version_info[:2])"
_OURS = [str(Path(__file__).resolve().parents[2]), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]


@cache
def interpreter() -> str:
    """Debian's, if it can run the server with the packages that are installed here; else ours."""
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(_OURS))  # whatever is started from here looks there
    try:
        done = subprocess.run([DEBIANS, "-c", _TRY], capture_output=True, text=True, timeout=30)
    except OSError:
        return sys.executable
    ours = "{} {}".format(*sys.version_info[:2])
    return DEBIANS if done.returncode == 0 and done.stdout.strip() == ours else sys.executable
