"""GET /metrics of the kubelet: what its machine and containers use, for Prometheus.

    machine_cpu_cores, machine_memory_bytes
    container_cpu_usage_seconds_total{container,id,namespace,pod}      container_memory_working_set_bytes{...}
    kubelet_running_pod_count, kubelet_running_container_count

id "/" is the machine as a whole. Source: the names of cAdvisor; Prometheus' text format 0.0.4.
"""

from collections.abc import Callable, Iterator

from labkit.components.kubelet.counters import NANOSECONDS, Counters
from labkit.components.kubelet.machine import Machine
from labkit.components.kubelet.runtime import Sample

_BY_CONTAINER: tuple[tuple[str, str, str, Callable[[Counters], float]], ...] = (
    ("container_cpu_usage_seconds_total", "counter", "Processor time.", lambda c: c.cpu / NANOSECONDS),
    ("container_memory_usage_bytes", "gauge", "Memory in use, page cache and all.", lambda c: c.memory),
    (
        "container_memory_working_set_bytes",
        "gauge",
        "The same without file pages long unused.",
        lambda c: c.working_set,
    ),
    ("container_memory_rss", "gauge", "Memory that is no page of a file.", lambda c: c.rss),
)


def page(machine: Machine, sample: Sample | None) -> str:
    """The whole page; without a sample only the machine's size."""
    return "".join(f"{line}\n" for line in _lines(machine, sample))


def _lines(machine: Machine, sample: Sample | None) -> Iterator[str]:
    yield from _gauge("machine_cpu_cores", "Cores of the machine.", machine.cpu / 1000)
    yield from _gauge("machine_memory_bytes", "Memory of the machine.", machine.memory)
    if sample is None:
        return
    running = [one.container for one in sample.containers.values()]
    yield from _gauge("kubelet_running_pod_count", "Pods with a running container.", len({c.pod_uid for c in running}))
    yield from _gauge("kubelet_running_container_count", "Running containers.", len(running))
    rows = list(_rows(sample))
    for name, kind, about, read in _BY_CONTAINER:
        yield from _head(name, kind, about)
        for labels, counted in rows:
            yield f"{name}{{{labels}}} {_number(read(counted))}"


def _rows(sample: Sample) -> Iterator[tuple[str, Counters]]:
    yield 'id="/"', sample.machine
    for identity, (container, counted) in sample.containers.items():
        namespace, _, pod = container.pod.partition("/")
        yield f'container="{container.name}",id="{identity}",namespace="{namespace}",pod="{pod}"', counted


def _gauge(name: str, about: str, number: float) -> Iterator[str]:
    yield from _head(name, "gauge", about)
    yield f"{name} {_number(number)}"


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"


def _number(number: float) -> str:
    """Bytes to the last one."""
    return str(number) if isinstance(number, int) else f"{number:.9g}"
