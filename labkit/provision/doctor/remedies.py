"""What `labkit doctor --fix` does by itself: what harms nothing, and is not a decision that a person should take."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from labkit.cluster import Cluster
from labkit.provision import containers, host, host_facts, kernel
from labkit.provision.doctor.finding import Finding
from labkit.provision.errors import CommandFailed
from labkit.provision.process import OnLine, run
from labkit.provision.ssh import Ssh

BOOTSTRAP = Path(__file__).parent.parent / "bootstrap.sh"


def apply(cluster: Cluster, found: list[Finding], on_line: OnLine) -> list[str]:
    """Do what can be done about them; what was done, one line each. What fails is told and left to the next look."""
    done = []
    for fix, words in dict.fromkeys((finding.fix, finding.words) for finding in found if finding.fix):
        try:
            done.append(REMEDIES[fix](cluster, words, on_line))
        except CommandFailed as exc:
            on_line(f"could not: {exc}")
    return [line for line in done if line]


def install(cluster: Cluster, words: tuple[str, ...], on_line: OnLine) -> str:
    run("install what is missing", ["sh", str(BOOTSTRAP)], timeout=900, on_line=on_line)
    return "installed what was missing"


def start_docker(cluster: Cluster, words: tuple[str, ...], on_line: OnLine) -> str:
    if host.can_start_docker(host_facts.look(cluster)):
        host.start_docker(on_line)
    else:
        run("start docker", [*as_root(), "systemctl", "start", "docker"], timeout=90)
    return "started docker"


def load_module(cluster: Cluster, words: tuple[str, ...], on_line: OnLine) -> str:
    if os.geteuid() == 0:
        kernel.load(words)
    else:
        run("load a kernel module", [*as_root(), "modprobe", *words], timeout=30)
    return f"loaded {' '.join(words)}"


def sysctl(cluster: Cluster, words: tuple[str, ...], on_line: OnLine) -> str:
    run("raise a limit", [*as_root(), "sysctl", "-w", *words], timeout=30)
    return f"set {' '.join(words)} (until the next boot of this host)"


def chmod(cluster: Cluster, words: tuple[str, ...], on_line: OnLine) -> str:
    mode, path = words
    Path(path).chmod(int(mode, 8))
    return f"closed {path} to other users"


def remove_half_made(cluster: Cluster, words: tuple[str, ...], on_line: OnLine) -> str:
    containers.remove_half_made(cluster)
    return f"removed what was left of {' '.join(words)}"


def start_unit(cluster: Cluster, words: tuple[str, ...], on_line: OnLine) -> str:
    name, unit = words
    with Ssh(cluster, cluster.machine(name)) as ssh:
        ssh.run(f"systemctl reset-failed {unit}; systemctl restart {unit}", timeout=90, what=f"restart {unit}")
    return f"{name}: restarted {unit}"


def as_root() -> list[str]:
    """What goes in front of a command for root. Asks for no password: --fix may run where nobody sits."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    raise CommandFailed("host", "become root", tail="this needs root: run it with sudo, or type the mend yourself")


Remedy = Callable[[Cluster, tuple[str, ...], OnLine], str]
REMEDIES: dict[str, Remedy] = {
    "install": install,
    "start-docker": start_docker,
    "load-module": load_module,
    "sysctl": sysctl,
    "chmod": chmod,
    "remove-half-made": remove_half_made,
    "start-unit": start_unit,
}
