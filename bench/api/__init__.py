"""kube-apiserver under load, beside etcd's own figures through the same client in the same run, and beside what the
originals did on two cores of the same machine (plain HTTP): Kubernetes 1.21, measured with such loads.

All rows over TLS with client certificates, the machine's admission and audit log, on the machines' Python
(interpreter.py); `plain` is the same server without TLS, certificates and policy. etcd, kube-apiserver and the load
share the cores. Where one client asks for objects it is a blocking socket (one_client.py), else an event loop, as raw
etcd is asked too. Rounds of raw etcd and API server alternate, the figures are medians. What a row says of processors
is counted, in microseconds per operation.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.api.figures import Figures
from bench.api.load import Where, Wish
from bench.api.world import plain, run, secure
from bench.rows import Row

ROUNDS = 3
KEY = "/registry/pods/bench/warm-3"
ONE_CORE = ", one core"
POD = "/api/v1/namespaces/bench/pods/warm-3"
Say = Callable[[str], None]
Measured = dict[str, list[Figures]]


def rows(say: Say) -> list[Row]:
    with secure() as where:
        say("1,000 idle watchers")
        idle = run("idle", Wish(where, clients=1000))
        tls = _measured(where, ROUNDS, say)
    with secure() as where:
        say("3,000 pods, 100 nodes")
        busy = run("busy", Wish(where, seconds=8))
    with plain() as where:
        open_ = _measured(where, 1, lambda text: say(f"plain, {text}"))
    return [*_rows(tls, open_), _idle_row(idle), _busy_row(busy)]


def _measured(where: Where, rounds: int, say: Say) -> Measured:
    """Every load, `rounds` times in turn."""
    done: Measured = {}

    def load(name: str, kind: str, **wish: Any) -> None:
        say(f"{name}, round {number + 1} of {rounds}")
        done.setdefault(name, []).append(run(kind, Wish(where, **wish)))

    run("creates", Wish(where, clients=16, count=500, prefix="warm"))
    run("creates", Wish(where, clients=16, count=1000, prefix="listed", namespace="listed"))
    for number in range(rounds):
        for where_, one_core in (("", False), (ONE_CORE, True)):
            load(f"etcd gets{where_}", "raw-gets", seconds=1, path=KEY, one_core=one_core)
            load(f"gets{where_}", "gets", seconds=1, path=POD, one_core=one_core)
            load(f"cached gets{where_}", "gets", seconds=1, path=f"{POD}?resourceVersion=0", one_core=one_core)
        load("grpc gets", "grpc-gets", seconds=1, path=KEY)
        load("32 gets", "gets", clients=32, seconds=1, path=POD)
        load("etcd puts", "raw-puts", clients=16, count=2000, size=1700, prefix=f"raw{number}")
        load("grpc puts", "grpc-puts", clients=16, count=2000, size=1700, prefix=f"grpc{number}")
        load("creates", "creates", clients=16, count=2000, prefix=f"made{number}")
        load("list", "lists", count=40, items=1000, path="/api/v1/namespaces/listed/pods")
        load("label", "lists", count=100, items=10, path="/api/v1/namespaces/listed/pods?labelSelector=app%3Dapp7")
        load("watch", "watch", clients=100, count=100, creators=4, prefix=f"seen{number}")
    return done


def _rows(tls: Measured, open_: Measured) -> list[Row]:
    def rate(name: str, title: str, goal: float, original: float | None, why: str, etcd: str = "") -> Row:
        beside = {"plain": _median(open_[name], "rate")}
        if etcd:
            beside |= {"etcd": _median(tls[etcd], "rate")}
        if f"{name}{ONE_CORE}" in tls:
            beside |= {"one core": _median(tls[f"{name}{ONE_CORE}"], "rate")}
        if original:
            beside |= {"v1.21": original}
        note = f"{why}; {_spent(tls[name])}"
        return Row(name=title, value=_median(tls[name], "rate"), unit="1/s", better="higher", goal=goal,
                   beside=_rounded(beside), note=note)  # fmt: skip

    def took(name: str, title: str, goal: float, original: float | None, why: str) -> Row:
        beside = {"plain": _median(open_[name], "p50"), "p99": _median(tls[name], "p99")}
        beside |= {"v1.21": original} if original else {}
        note = f"{why}; {_spent(tls[name])}"
        return Row(name=title, value=_median(tls[name], "p50"), unit="ms", better="lower", goal=goal,
                   beside=_rounded(beside), note=note)  # fmt: skip

    return [
        rate("creates", "pod creates/s, 16 clients", 2000, 2290, _CREATES, "etcd puts"),
        _share("creates, of etcd's puts through the same client", tls["creates"], tls["etcd puts"], 50, _LEANER),
        _share("creates, of etcd's puts through grpc.aio", tls["creates"], tls["grpc puts"], 50, _YARDSTICK),
        rate("gets", "GET/s, 1 client, consistent", 1900, 2020, _GET, "etcd gets"),
        _share("GET, 1 client, of etcd's ranges through the same client", tls["gets"], tls["etcd gets"], 65, _KINDS),
        _share("GET, 1 client, of etcd's ranges through grpc.aio", tls["gets"], tls["grpc gets"], 65, _YARDSTICK),
        rate("cached gets", "GET/s, 1 client, resourceVersion=0", 6000, None, _CACHED),
        rate("32 gets", "GET/s, 32 clients, consistent", 8000, None, _GETS),
        took("list", "LIST of 1,000 pods, p50", 5, 19, _LIST),
        took("label", "LIST of 10 of 1,000 by label, p50", 2, 8, _LABEL),
        rate("watch", "events/s, 100 watchers x 100 creates", 60_000, 29_200, _WATCH),
        took("watch", "from sending a create to its event, p50", 4, 4, "the create itself, then the watchers' batch"),
    ]


_CREATES = "the server's one thread, and etcd beside it; a fifth of the server's part is etcd's channel, half the pod"
_LEANER = "a channel that costs little leaves etcd itself little to wait for, and the server its own work"
_YARDSTICK = "etcd as anybody has it: what the goal was set with, when the server used grpc.aio too"
_KINDS = "etcd is asked from an event loop, as the server asks it, the server by a blocking socket: see load of each"
_GET = "one question to etcd and back: four wake-ups of a process, dear between virtual cores (one core: without that)"
_CACHED = "TLS and two wake-ups of a process, dear between virtual cores (one core: all processes on the same)"
_GETS = "the server's one thread: TLS, HTTP, audit; the readers share their questions to etcd"
_LIST = "TLS: the JSON is joined from what the cache holds, nothing is encoded"
_LABEL = "the labels of 1,000 pods are looked at, ten are joined"
_WATCH = "one TLS record and one system call for each watcher and batch; two thirds of the time is left for creates"


def _share(name: str, ours: Sequence[Figures], etcds: Sequence[Figures], goal: float, note: str) -> Row:
    """In percent, of the same round."""
    shares = [100 * mine.rate / etcd.rate for mine, etcd in zip(ours, etcds, strict=True)]
    return Row(name=name, value=statistics.median(shares), unit="%", better="higher", goal=goal,
               note=f"{note}; etcd's own row: {_spent(etcds)}")  # fmt: skip


def _idle_row(idle: Figures) -> Row:
    return Row(name="memory with 1,000 idle watchers", value=idle.p50, unit="MB", better="lower", goal=150,
               note="OpenSSL's state of each connection; the server alone takes 60 MB")  # fmt: skip


def _busy_row(busy: Figures) -> Row:
    slowest = max(busy.calls, key=lambda name: busy.calls[name])
    return Row(name="3,000 pods, 100 nodes: p99 of the slowest call", value=busy.calls[slowest], unit="ms",
               better="lower", goal=100, beside=busy.calls,
               note=f"{busy.rate:.0f} calls/s; whoever comes behind a list of all pods waits for it")  # fmt: skip


def _median(figures: Sequence[Figures], field: str) -> float:
    return float(statistics.median(getattr(one, field) for one in figures))


def _spent(figures: Sequence[Figures]) -> str:
    """`server 210 etcd 120 load 30 us each, 1.8 cores busy`, of the median round."""
    middle = sorted(figures, key=lambda one: one.rate)[len(figures) // 2]
    each = " ".join(f"{name} {us:.0f}" for name, us in middle.cpu.items() if us >= 0.5)
    return f"{each} us each, {middle.busy:.1f} cores busy"


def _rounded(beside: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.3g}") for name, value in beside.items()}
