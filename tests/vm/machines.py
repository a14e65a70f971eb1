"""A cluster of three real virtual machines from nothing, the lab redis-master on it, and away again: `make test-vm`."""

import os
from pathlib import Path

from labkit import cluster as clusters
from labkit.provision import box, libvirt
from tests.vm.typed import Run

NAME = "vmtest"


def three_machines(run: Run, scratch: Path) -> None:
    """scratch: where labkit keeps its clusters ($LABKIT_HOME)."""
    started_libvirt = not libvirt.answers()
    try:
        _life(run)
    finally:
        if (scratch / NAME / "cluster.json").exists():
            _gone(run)
        if started_libvirt:
            libvirt.stop()


def _life(run: Run) -> None:
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


def _gone(run: Run) -> None:
    run.sh(f"labkit destroy --cluster {NAME} --yes")
    left = run.sh("virsh -c qemu:///system list --all --name; virsh -c qemu:///system net-list --all --name")
    run.check("no machine and no network is left", NAME not in left)
