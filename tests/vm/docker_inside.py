"""The docker provider on a computer like the users': `make test-vm-docker`.

The computer (computer.py) is given a stick with a bundle on it and nothing else: labkit comes out of the bundle, as
docs/offline.md tells it. An ordinary user types all of it.
"""

import subprocess
import sys
from pathlib import Path

from labkit.provision import image
from tests.vm import computer
from tests.vm.typed import Run

CACHE = image.cache_dir() / "debs"
TRACES = (
    "docker ps --all --format '{{.Names}}'; docker network ls --format '{{.Name}}'; docker volume ls --quiet; "
    "ip -brief link | cut -d' ' -f1; ip route; "
    "sudo iptables-save | grep -v -e '^#' -e '^:'; ls -A /sys/fs/cgroup/system.slice | grep docker- || true"
)
"""What a cluster may leave on a host."""


def docker_inside(run: Run, scratch: Path) -> None:
    """A bundle, a computer, the cluster on it, the lab, and away again."""
    key, stick = scratch / "key", scratch / "stick"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=60)
    stick.mkdir()
    run.sh(f"labkit bundle create {stick / 'labkit.bundle'} | tail -n 8")
    mirror = image.debian_mirror()
    run.sh(f"env {' '.join(image.proxy())} {sys.executable} -m tests.vm.computer {mirror} {CACHE} {key}.pub {scratch}"
           " </dev/zero | tail -n 3")  # fmt: skip
    computer.disk(stick, scratch / "stick.raw", sum(path.stat().st_size for path in stick.iterdir()) + 2**27)
    with computer.started(scratch, scratch / "stick.raw", key) as pc:
        inside(run, pc)


def inside(run: Run, pc: computer.Computer) -> None:
    def sh(command: str) -> str:
        return run.sh(command, ssh=pc.ssh, prompt="student@pc$")

    told = sh("uname -r; stat -fc %T /sys/fs/cgroup; cat /sys/module/apparmor/parameters/enabled; "
              "grep CapBnd /proc/1/status; docker info --format '{{.CgroupVersion}} {{.SecurityOptions}}'")  # fmt: skip
    run.check("cgroup v2", "cgroup2fs" in told and "\n2 [" in told)
    run.check("AppArmor is on, and docker uses it", "\nY\n" in told and "name=apparmor" in told)
    run.check("all capabilities", "000001ffffffffff" in told)
    sh("tar xf /mnt/labkit.bundle host.zip && python3 -m zipfile -e host.zip host && python3 -m venv labkit && "
       "labkit/bin/pip install -q --no-index --find-links host labkit-classroom && "
       "echo 'export PATH=$HOME/labkit/bin:$PATH LABKIT_PATIENCE=6 COLUMNS=120' >>.profile")  # fmt: skip
    before = sh(TRACES)
    shown = sh("labkit bundle show /mnt/labkit.bundle")
    maker = next(line.split()[2] for line in shown.splitlines() if line.startswith("made by"))
    sh("labkit doctor || true")
    sh(f"labkit up --bundle /mnt/labkit.bundle --trust {maker}")
    run.check("both nodes are Ready", sh("labkit ssh master kubectl get nodes").count(" Ready ") == 2)
    confined = sh("labkit ssh agent1 'stat -fc %T /sys/fs/cgroup; cat /proc/1/attr/current; "
                  "docker info --format \"{{.CgroupVersion}} {{.CgroupDriver}} {{.SecurityOptions}}\"'")  # fmt: skip
    run.check("a machine has a cgroup v2 of its own", "cgroup2fs" in confined and "\n2 cgroupfs" in confined)
    run.check("the lab redis-master plays through", "NOT" not in sh("labkit lab redis-master --play"))
    run.check("a second `up` finds nothing to do", "nothing to do" in sh("labkit up"))
    sh("labkit destroy --yes")
    run.check("the computer is as it was", sh(TRACES) == before)
