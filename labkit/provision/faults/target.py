"""What a fault is done to.

agent1                       a machine
kube-proxy@agent1            a service on a machine; without the machine where only one runs it: etcd, kube-scheduler
pod/client, pod/prod/web     a pod's process, the first container's or that of -c NAME
"""

from dataclasses import dataclass

from labkit.cluster import Cluster, Machine
from labkit.provision.status import watched_units


class Unclear(Exception):
    """A target that is not there; says what there is."""

    exit_code = 2


@dataclass(frozen=True)
class Target:
    """machine: where it is; of a machine itself `unit` and `pod` are empty. pod: `namespace/name`."""

    machine: Machine
    unit: str = ""
    pod: str = ""
    container: str = ""

    def __str__(self) -> str:
        if self.pod:
            return f"pod/{self.pod}" + (f" ({self.container})" if self.container else "")
        return f"{self.unit}@{self.machine.name}" if self.unit else self.machine.name


def machine_named(cluster: Cluster, name: str) -> Machine:
    """Raises Unclear."""
    try:
        return cluster.machine(name)
    except KeyError as exc:
        raise Unclear(str(exc.args[0])) from exc


def parse(cluster: Cluster, text: str) -> Target:
    """A machine or a service (a pod has to be asked for: play.py). Raises Unclear."""
    unit, at, name = text.partition("@")
    if at:
        machine = machine_named(cluster, name)
        if unit not in watched_units(cluster, machine):
            raise Unclear(f"{name} runs no {unit}: it runs {', '.join(watched_units(cluster, machine))}")
        return Target(machine, unit)
    running = [machine for machine in cluster.machines if text in watched_units(cluster, machine)]
    if len(running) == 1:
        return Target(running[0], text)
    if running:
        raise Unclear(f"{text} runs on several machines: say {' or '.join(f'{text}@{one.name}' for one in running)}")
    if text not in [machine.name for machine in cluster.machines]:
        services = sorted({unit for machine in cluster.machines for unit in watched_units(cluster, machine)})
        machines = ", ".join(machine.name for machine in cluster.machines)
        raise Unclear(f"no {text!r}: a machine ({machines}), a service ({', '.join(services)}) or pod/NAME")
    return Target(machine_named(cluster, text))
