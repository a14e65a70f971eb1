"""From the samples to /stats/summary."""

import os
from collections.abc import Iterable, Sequence
from functools import reduce
from pathlib import Path

from labkit.api.summary import (
    ContainerStats,
    Cpu,
    FileSystem,
    Memory,
    NodeStats,
    PodReference,
    PodStats,
    Summary,
)
from labkit.components.kubelet.counters import Counters
from labkit.components.kubelet.machine import Machine
from labkit.components.kubelet.runtime import PAUSE, Measured, Sample
from labkit.components.kubelet.times import stamp
from labkit.components.kubelet.usage import Rate, container_rate, machine_rate


def summary(node: str, machine: Machine, root_dir: Path, samples: Sequence[Sample]) -> Summary:
    """Without a sample there is only the node's name."""
    if not samples:
        return Summary(node=NodeStats(node_name=node))
    now = samples[-1]
    available = max(0, machine.memory - now.machine.working_set)
    about_node = NodeStats(
        node_name=node,
        start_time=stamp(machine.booted),
        cpu=_cpu(now.time, now.machine, machine_rate(samples)),
        memory=_memory(now.time, now.machine, available),
        fs=_file_system(root_dir, now.time),
    )
    return Summary(node=about_node, pods=[_pod(of_pod, samples) for of_pod in _by_pod(now.containers.values())])


def _by_pod(measured: Iterable[Measured]) -> list[list[Measured]]:
    pods: dict[str, list[Measured]] = {}
    for one in measured:
        pods.setdefault(one.container.pod_uid, []).append(one)
    return list(pods.values())


def _pod(of_pod: Sequence[Measured], samples: Sequence[Sample]) -> PodStats:
    namespace, _, name = of_pod[0].container.pod.partition("/")
    now = samples[-1].time
    rates = [rate for one in of_pod if (rate := container_rate(samples, one.container.id))]
    sum_of_rates = Rate(sum(rate.nano_cores for rate in rates), max(rate.seconds for rate in rates)) if rates else None
    counted = reduce(Counters.__add__, (one.counters for one in of_pod))
    return PodStats(
        pod_ref=PodReference(name=name, namespace=namespace, uid=of_pod[0].container.pod_uid),
        start_time=stamp(min(one.container.started for one in of_pod)),
        containers=[_container(one, samples) for one in of_pod if one.container.name != PAUSE],
        cpu=_cpu(now, counted, sum_of_rates),
        memory=_memory(now, counted),
    )


def _container(one: Measured, samples: Sequence[Sample]) -> ContainerStats:
    now = samples[-1].time
    return ContainerStats(
        name=one.container.name,
        start_time=stamp(one.container.started),
        cpu=_cpu(now, one.counters, container_rate(samples, one.container.id)),
        memory=_memory(now, one.counters),
    )


def _cpu(now: float, counted: Counters, rate: Rate | None) -> Cpu:
    return Cpu(
        time=stamp(now),
        usage_nano_cores=rate.nano_cores if rate else None,
        usage_core_nano_seconds=counted.cpu,
        window_seconds=round(rate.seconds, 3) if rate else None,
    )


def _memory(now: float, counted: Counters, available: int | None = None) -> Memory:
    return Memory(
        time=stamp(now),
        available_bytes=available,
        usage_bytes=counted.memory,
        working_set_bytes=counted.working_set,
        rss_bytes=counted.rss,
        page_faults=counted.page_faults,
        major_page_faults=counted.major_page_faults,
    )


def _file_system(folder: Path, now: float) -> FileSystem | None:
    try:
        found = os.statvfs(folder)
    except OSError:  # the kubelet has made no volume yet
        return None
    return FileSystem(
        time=stamp(now),
        available_bytes=found.f_bavail * found.f_frsize,
        capacity_bytes=found.f_blocks * found.f_frsize,
        used_bytes=(found.f_blocks - found.f_bfree) * found.f_frsize,
        inodes_free=found.f_ffree,
        inodes=found.f_files,
    )
