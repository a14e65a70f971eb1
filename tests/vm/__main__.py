"""`make test-vm`: a cluster of three real virtual machines from nothing, the lab redis-master on it, and away again.

    python -m tests.vm              box, machines, lab, a second `up`, destroy

Needs root, 6 GB of memory, 15 GB of disk and a Debian mirror; where there is no KVM the machines are emulated. The
commands are what a learner types. What they print is kept with its times (--transcript FILE).
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labkit import cluster as clusters
from labkit.provision import box, libvirt

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "labkit" / "tools"
NAME = "vmtest"
LIMIT = 900
"""Seconds for all of it on two cores that nobody else uses."""


class Run:
    """What was typed, what it printed, how long it took."""

    def __init__(self, transcript: Path, environment: dict[str, str]) -> None:
        self.file = transcript.open("w")
        self.environment = os.environ | environment
        self.passed = self.failed = 0

    def write(self, text: str) -> None:
        for stream in (sys.stdout, self.file):
            stream.write(text)
            stream.flush()

    def sh(self, command: str, timeout: float = 1800) -> str:
        """Type it; what it printed. A command that fails ends the test."""
        self.write(f"\n$ {command}\n")
        began, used = time.monotonic(), _cpu()
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, env=self.environment, timeout=timeout,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        text = done.stdout.replace("\r", "\n")
        self.write(text if text.endswith("\n") or not text else f"{text}\n")
        load = os.getloadavg()[0]
        self.write(f"[{time.monotonic() - began:.0f} s, {_cpu() - used:.0f} s of processor time, load {load:.1f}]\n")
        if done.returncode:
            self.check(f"`{command}` exits 0 (it exits {done.returncode})", False)
            raise SystemExit(1)
        return text

    def check(self, what: str, holds: bool) -> None:
        self.write(f"{'ok' if holds else 'NOT OK'}: {what}\n")
        self.passed, self.failed = self.passed + holds, self.failed + (not holds)


def _cpu() -> float:
    """Processor seconds of the host, of everybody: QEMU is no child of ours."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def three_machines(run: Run) -> None:
    """From nothing to the lab and back to nothing."""
    run.sh("labkit box build")
    run.sh(f"labkit up --cluster {NAME} --provider libvirt")
    cluster = clusters.load(NAME)
    setting = libvirt.setting(cluster)
    run.check(f"made from our own box {box.name()}", setting is not None and setting.box == box.name())
    look = (
        "uname -r; stat -fc %T /sys/fs/cgroup; cat /sys/module/apparmor/parameters/enabled; ip -o -4 address show eth1"
    )
    for machine in cluster.machines:
        said = run.sh(f"labkit ssh --cluster {NAME} {machine.name} '{look}'")
        run.check(f"{machine.name} has a kernel of its own", "-cloud-" in said and os.uname().release not in said)
        run.check(f"{machine.name} has cgroup v2 and AppArmor", "cgroup2fs" in said and "\nY\n" in said)
        run.check(f"{machine.name} has its address", f" {machine.address}/24 " in said)
    nodes = run.sh(f"labkit ssh --cluster {NAME} master kubectl get nodes")
    run.check("both nodes are Ready", nodes.count(" Ready ") == 2)
    lab = run.sh(f"labkit lab --cluster {NAME} redis-master --play")
    run.check("the lab redis-master plays through", "NOT" not in lab)
    again = run.sh(f"labkit up --cluster {NAME}")
    run.check("a second `up` finds nothing to do", "nothing to do" in again)


def gone(run: Run) -> None:
    """Nothing of the cluster is left."""
    run.sh(f"labkit destroy --cluster {NAME} --yes")
    left = run.sh("virsh -c qemu:///system list --all --name; virsh -c qemu:///system net-list --all --name")
    run.check("no machine and no network is left", NAME not in left)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transcript", type=Path, default=TOOLS.parent / "vm-run.txt")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        print("make test-vm needs root: it installs packages, starts libvirt and makes networks")
        return 2
    began = time.monotonic()
    state = Path(tempfile.mkdtemp(prefix="labkit-vm-"))
    path = f"{Path(sys.executable).parent}:{TOOLS / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    mine = {"LABKIT_HOME": str(state), "PATH": path, "LABKIT_BOX": "own", "COLUMNS": "120"}
    os.environ.update(mine)
    run = Run(chosen.transcript, mine)
    subprocess.run(["sh", str(ROOT / "tests" / "install.sh"), str(TOOLS)], check=True, timeout=600)
    run.sh("sh tests/vm/install.sh")
    started_libvirt = not libvirt.answers()
    try:
        three_machines(run)
    finally:
        if (state / NAME / "cluster.json").exists():
            gone(run)
        if started_libvirt:
            libvirt.stop()
        shutil.rmtree(state, ignore_errors=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        run.write(f"\n{time.monotonic() - began:.0f} s in all; the largest program took {peak} MB\n")
        run.write(f"{run.passed} passed, {run.failed} failed\n")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
