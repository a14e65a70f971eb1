"""Usage as the kubelet of 2015 told it: /spec/ and /stats/ in the words of cAdvisor, which it had inside.

    GET /spec/                                 the machine: cores, memory
    GET /stats/                                the machine's samples
    GET /stats/NAMESPACE/POD/UID/CONTAINER     a container's; /stats/POD/CONTAINER in the namespace default
    POST /stats/container/                     {"containerName": "/", "subcontainers": true}: everything by name

A body {"num_stats": 2} asks for so many samples in place of 60. Source: pkg/kubelet/server.go of Kubernetes 0.18 and
info/v1 of cAdvisor 0.13.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from labkit.components.kubelet.counters import Counters
from labkit.components.kubelet.machine import Machine
from labkit.components.kubelet.runtime import Container, Sample
from labkit.components.kubelet.times import stamp


def machine_info(machine: Machine) -> dict[str, Any]:
    """GET /spec/."""
    return {
        "num_cores": max(1, machine.cpu // 1000),
        "memory_capacity": machine.memory,
        "machine_id": machine.machine_id,
        "system_uuid": machine.system_uuid,
        "boot_id": machine.boot_id,
    }


def machine_stats(machine: Machine, samples: Sequence[Sample], wanted: int) -> dict[str, Any]:
    """The last `wanted` samples of the group "/", oldest first."""
    spec = {"creation_time": stamp(machine.booted), "has_cpu": True, "has_memory": True}
    spec["memory"] = {"limit": machine.memory}
    counted = [(sample.time, sample.machine) for sample in samples]
    return {"name": "/", "spec": spec, "stats": _stats(counted, wanted)}


def container_stats(container: Container, samples: Sequence[Sample], wanted: int) -> dict[str, Any]:
    """The last `wanted` samples of a container, oldest first."""
    identity = container.id
    counted = [(s.time, s.containers[identity].counters) for s in samples if identity in s.containers]
    return {
        "name": f"/docker/{identity}",
        "aliases": [identity],
        "namespace": "docker",
        "spec": {"creation_time": stamp(container.started), "has_cpu": True, "has_memory": True},
        "stats": _stats(counted, wanted),
    }


def everything(machine: Machine, samples: Sequence[Sample], wanted: int) -> dict[str, Any]:
    """The machine and all that runs on it now, by name."""
    running = [one.container for one in samples[-1].containers.values()] if samples else []
    infos = [machine_stats(machine, samples, wanted), *(container_stats(one, samples, wanted) for one in running)]
    return {info["name"]: info for info in infos}


def _stats(counted: Iterable[tuple[float, Counters]], wanted: int) -> list[dict[str, Any]]:
    return [_one(time, counters) for time, counters in [*counted][-wanted:]]


def _one(time: float, counted: Counters) -> dict[str, Any]:
    faults = {"pgfault": counted.page_faults, "pgmajfault": counted.major_page_faults}
    return {
        "timestamp": stamp(time),
        "cpu": {"usage": {"total": counted.cpu, "user": counted.cpu_user, "system": counted.cpu_system}},
        "memory": {"usage": counted.memory, "working_set": counted.working_set, "hierarchical_data": faults},
    }
