"""What is counted, and how Prometheus reads it: GET /metrics.

    apiserver_request_count{verb,resource,code}          how many requests
    apiserver_request_latencies{verb,resource}           how long they took, in microseconds (a histogram)
    apiserver_registered_watchers{resource}              watches open now
    etcd_request_duration_seconds{operation}             how long the store took (a histogram)
    process_*                                            memory, processor time, open files of this process

A request costs one look-up and two additions here; all text is made when somebody asks. Names of Kubernetes 1.0 where
it had one, else of its successors. Source: pkg/apiserver/metrics of Kubernetes 1.0, Prometheus' text format 0.0.4.
"""

from __future__ import annotations

import bisect
import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STARTED = time.time()
_VERBS = {"create": "POST", "update": "PUT"}


class Numbers:
    """A counter or gauge: one number for each combination of labels."""

    def __init__(self, name: str, kind: str, about: str, labels: tuple[str, ...]) -> None:
        self.name, self.kind, self.about, self.labels = name, kind, about, labels
        self.values: dict[tuple[str, ...], float] = {}

    def add(self, labels: tuple[str, ...], number: float = 1) -> None:
        self.values[labels] = self.values.get(labels, 0) + number

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, self.kind, self.about)
        for values, number in sorted(self.values.items()):
            yield f"{self.name}{_labels(self.labels, values)} {number:g}"


class _Row:
    """What a histogram knows of one combination of labels."""

    __slots__ = ("counts", "sum")

    def __init__(self, size: int) -> None:
        self.counts = [0] * size
        self.sum = 0.0


class Histogram:
    """How many values lie at or below each bound."""

    def __init__(self, name: str, about: str, labels: tuple[str, ...], bounds: Sequence[float]) -> None:
        self.name, self.about, self.labels, self.bounds = name, about, labels, bounds
        self.rows: dict[tuple[str, ...], _Row] = {}

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        row = self.rows.get(labels)
        if row is None:
            row = self.rows[labels] = _Row(len(self.bounds) + 1)
        row.counts[bisect.bisect_left(self.bounds, value)] += 1
        row.sum += value

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, "histogram", self.about)
        names = (*self.labels, "le")
        for values, row in sorted(self.rows.items(), key=lambda item: item[0]):
            total = 0
            for bound, count in zip([*(f"{bound:g}" for bound in self.bounds), "+Inf"], row.counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_labels(names, (*values, bound))} {total}"
            yield f"{self.name}_sum{_labels(self.labels, values)} {row.sum:g}"
            yield f"{self.name}_count{_labels(self.labels, values)} {total}"


class Metrics:
    """All numbers of one server."""

    def __init__(self) -> None:
        self.requests = Numbers("apiserver_request_count", "counter", "Requests by verb, resource and status code.",
                                ("verb", "resource", "code"))  # fmt: skip
        self.latencies = Histogram(
            "apiserver_request_latencies", "Time to the answer, in microseconds.", ("verb", "resource"),
            [250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000],
        )  # fmt: skip
        self.watchers = Numbers("apiserver_registered_watchers", "gauge", "Watches that are open now.", ("resource",))
        self.store = Histogram(
            "etcd_request_duration_seconds", "Time that the store took.", ("operation",),
            [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
        )  # fmt: skip

    def answered(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """A request got its answer; of a watch only that it began."""
        verb = _VERBS.get(verb) or verb.upper()
        self.requests.add((verb, resource, str(code)))
        if verb != "WATCH":
            self.latencies.observe((verb, resource), seconds * 1e6)

    def text(self) -> bytes:
        """The page."""
        parts: list[Numbers | Histogram] = [self.requests, self.latencies, self.watchers, self.store, *_process()]
        return "".join(f"{line}\n" for part in parts for line in part.lines()).encode()


def _process() -> Iterator[Numbers]:
    """This process, as Prometheus' own clients tell of theirs."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    for name, kind, about, number in (
        ("process_cpu_seconds_total", "counter", "Processor time.", used.ru_utime + used.ru_stime),
        ("process_resident_memory_bytes", "gauge", "Memory in use.", pages * os.sysconf("SC_PAGE_SIZE")),
        ("process_open_fds", "gauge", "Open files and sockets.", len([*Path("/proc/self/fd").iterdir()])),
        ("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", round(_STARTED)),
    ):
        numbers = Numbers(name, kind, about, ())
        numbers.add((), number)
        yield numbers


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
