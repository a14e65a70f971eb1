"""`make test-vm` and `make test-vm-docker`: labkit on real (mostly emulated) virtual machines, from nothing.

    python -m tests.vm machines     box, three machines under libvirt, the lab redis-master, a second `up`, destroy
    python -m tests.vm docker       one computer like the users' (Debian 12: cgroup v2, AppArmor), and the same with the
                                    docker provider inside it, out of a bundle

Needs root, 6 GB of memory, 15 GB of disk and a Debian mirror; where there is no KVM the machines are emulated. The
commands are what a learner types. What they print is kept with its times (--transcript FILE).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.vm.docker_inside import docker_inside
from tests.vm.machines import three_machines
from tests.vm.typed import ROOT, Run

TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "labkit" / "tools"
LIMIT = 900
"""Seconds that all of it is to take on two cores that nobody else uses."""
STORIES = {"machines": three_machines, "docker": docker_inside}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=STORIES, nargs="?", default="machines")
    parser.add_argument("--transcript", type=Path, help="default: vm-machines.txt or vm-docker.txt in labkit's cache")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        print("make test-vm needs root: it installs packages, starts libvirt and makes networks")
        return 2
    began = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="labkit-vm-", dir="/var/tmp"))
    path = f"{Path(sys.executable).parent}:{TOOLS / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    mine = {"LABKIT_HOME": str(scratch), "PATH": path, "LABKIT_BOX": "own", "COLUMNS": "120"}
    os.environ.update(mine)
    run = Run(chosen.transcript or TOOLS.parent / f"vm-{chosen.what}.txt", mine)
    try:
        subprocess.run(["sh", str(ROOT / "tests" / "install.sh"), str(TOOLS)], check=True, timeout=600)
        run.sh("sh tests/vm/install.sh")
        STORIES[chosen.what](run, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        seconds = time.monotonic() - began
        run.write(f"\n{seconds:.0f} s in all (the goal for two quiet cores: {LIMIT})\n")
        run.write(f"{run.passed} passed, {run.failed} failed\n")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
