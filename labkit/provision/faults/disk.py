"""A full disk that is none: a small file system, filled to the last byte, over the folder of the kubelet's volumes.

    /var/lib/kubelet    an overlay: below, the real folder, now read only; above, a full tmpfs of SIZE_MB

What is read is what was there; a write fails with "No space left on device". The kubelet asks how much is left and
starts no new pod (OutOfDisk) until the overlay is gone. The disk of the machine and of the host never fills.
Pods that run keep their volumes: their mounts lead past the overlay.
"""

from labkit.cluster import Cluster, Machine
from labkit.provision.faults.plan import Command, Plan
from labkit.provision.faults.target import Unclear

VOLUMES = "/var/lib/kubelet"
SIZE_MB = 16


def full(cluster: Cluster, machine: Machine, number: int) -> Plan:
    """The volumes' disk of an agent is full. Raises Unclear for a machine without one."""
    if not machine.is_agent:
        agents = ", ".join(agent.name for agent in cluster.agents)
        raise Unclear(f"{machine.name} has no kubelet, whose disk could be full: take one of {agents}")
    small = f"/run/labkit-disk-{number}"
    make = (
        f"if grep '^labkit-fault-[0-9]* {VOLUMES} ' /proc/mounts; then echo 'it is full already' >&2; exit 1; fi",
        f"mkdir {small}",
        f"mount -t tmpfs -o size={SIZE_MB}m labkit-fault-{number} {small}",
        f"mkdir {small}/upper {small}/work",
        f"mount -t overlay -o lowerdir={VOLUMES},upperdir={small}/upper,workdir={small}/work"
        f" labkit-fault-{number} {VOLUMES}",
        f"dd if=/dev/zero of={small}/filling bs=1M 2>/dev/null; df -h {VOLUMES}",
    )
    laid = f"grep -q '^labkit-fault-{number} {VOLUMES} ' /proc/mounts"
    undo = (
        f"{laid} && umount -l {VOLUMES}; ! {laid}",
        f"umount -l {small} 2>/dev/null; rmdir {small} 2>/dev/null; true",
    )
    return Plan(f"{machine.name}: the disk of the volumes is full", _each(machine, make), _each(machine, undo))


def _each(machine: Machine, texts: tuple[str, ...]) -> tuple[Command, ...]:
    return tuple(Command(machine.name, text) for text in texts)
