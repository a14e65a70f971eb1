"""The loads of `make bench WHAT=api`, each a process of its own: `python -m bench.api.load NAME JSON`.

    creates   clients, count, prefix    POST of pods; afterwards as many are there
    gets      clients, seconds, path    GET of one object
    lists     count, path, items        GET of a collection, one after the other
    raw-puts  clients, count, size      etcd's own figure: compare-and-swap of new keys (raw.py)
    raw-gets  seconds, path             etcd's own figure: a range of one key; grpc-puts, grpc-gets: through grpc.aio
    watch, idle    watches.py           busy    busy.py

Every answer is looked at: a wrong status, name or number of objects ends the run. Prints `Figures` as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench.api.connection import Answered, Client, Connection, Target, WrongAnswer, ask, connect, request
from bench.api.figures import Figures, measured, quantile
from bench.api.one_client import OneClient
from bench.api.placement import on_one_core
from bench.api.pods import pod
from labkit.components.kube_apiserver.__main__ import keep_freed_memory
from labkit.storage.etcd import Etcd, Tls


class Files(msgspec.Struct):
    """PEM files of one side."""

    ca: str
    certificate: str
    key: str

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def tls(self) -> Tls:
        return Tls(*(Path(file) for file in (self.ca, self.certificate, self.key)))


class Where(msgspec.Struct):
    """What is under load. Files None: plain HTTP. pids: of server and etcd."""

    port: int
    etcd: str
    pids: dict[str, int]
    files: Files | None = None
    etcd_files: Files | None = None

    def target(self) -> Target:
        return Target("127.0.0.1", self.port, self.files.context() if self.files else None)

    def storage(self) -> Etcd:
        return Etcd(self.etcd, self.etcd_files.tls() if self.etcd_files else None)


class Wish(msgspec.Struct):
    """What one load is told; see above."""

    where: Where
    clients: int = 1
    count: int = 0
    seconds: float = 0.0
    path: str = ""
    prefix: str = ""
    items: int = 0
    size: int = 0
    creators: int = 4
    namespace: str = "bench"
    one_core: bool = False

    def node_target(self, name: str) -> Target:
        """As the kubelet of that node."""
        assert self.where.files is not None
        folder = Path(self.where.files.certificate).parent
        files = [str(folder / f"system-node-{name}.{end}") for end in ("crt", "key")]
        return Target("127.0.0.1", self.where.port, Files(self.where.files.ca, *files).context())


async def creates(wish: Wish) -> Figures:
    target = wish.where.target()
    connections = [await connect(target) for _ in range(wish.clients)]
    pods = f"/api/v1/namespaces/{wish.namespace}/pods"
    bodies = [request("POST", pods, pod(f"{wish.prefix}-{n}", f"app{n % 100}")) for n in range(wish.count)]
    figures = await _loaded(wish, connections, iter(bodies), expecting(201, b'"kind":"Pod"'))
    status, there = await ask(connections[0], request("GET", pods))
    names = there.count(f'"name":"{wish.prefix}-'.encode())
    if status != 200 or names != wish.count:
        raise WrongAnswer(f"{names} of {wish.count} pods are there")
    return figures


async def gets(wish: Wish) -> Figures:
    target = wish.where.target()
    question, until = request("GET", wish.path), time.perf_counter() + wish.seconds
    name = wish.path.partition("?")[0].rpartition("/")[2]
    questions = itertools.takewhile(lambda _: time.perf_counter() < until, itertools.repeat(question))
    check = expecting(200, f'"name":"{name}"'.encode())
    if wish.clients == 1:
        return _by_one(wish, questions, check)
    return await _loaded(wish, [await connect(target) for _ in range(wish.clients)], questions, check)


async def lists(wish: Wish) -> Figures:
    seen = set()

    def check(status: int, body: bytes) -> None:
        expecting(200, b"")(status, body)
        seen.add(body)

    figures = _by_one(wish, itertools.repeat(request("GET", wish.path), wish.count), check)
    for body in seen:  # all the same while nothing changes
        if (items := len(msgspec.json.decode(body)["items"])) != wish.items:
            raise WrongAnswer(f"a list of {items} objects: expected {wish.items}")
    return figures


def expecting(code: int, part: bytes) -> Callable[[int, bytes], None]:
    def check(status: int, body: bytes) -> None:
        if status != code or part not in body:
            raise WrongAnswer(f"{status} {body[:300]!r}: expected {code}")

    return check


async def _loaded(wish: Wish, connections: list[Connection], questions: Any, check: Any) -> Figures:
    """Every connection asks until there are no more questions."""
    figures = Figures()
    clients = [Client(connection, lambda: next(questions, None), check) for connection in connections]
    with measured(figures, wish.where.pids):
        for client in clients:
            client.start()
        for client in clients:
            await client.wait(60)
        figures.count = sum(len(client.times) for client in clients)
    _told(figures, [seconds for client in clients for seconds in client.times])
    return figures


def _by_one(wish: Wish, questions: Iterator[bytes], check: Answered) -> Figures:
    """By a client that waits for each answer."""
    figures, client = Figures(), OneClient(wish.where.target(), check)
    with measured(figures, wish.where.pids):
        client.ask_all(questions)
        figures.count = len(client.times)
    _told(figures, client.times)
    return figures


def _told(figures: Figures, times: list[float]) -> None:
    figures.p50, figures.p99 = 1e3 * quantile(times, 0.5), 1e3 * quantile(times, 0.99)


def main(name: str, text: str) -> None:
    from bench.api import busy, raw, watches

    loads: dict[str, Callable[[Wish], Coroutine[Any, Any, Figures]]] = {
        "creates": creates, "gets": gets, "lists": lists,
        "raw-puts": lambda wish: raw.puts(wish, raw.by_channel),
        "raw-gets": lambda wish: raw.gets(wish, raw.by_channel),
        "grpc-puts": lambda wish: raw.puts(wish, raw.by_grpc),
        "grpc-gets": lambda wish: raw.gets(wish, raw.by_grpc),
        "watch": watches.fan_out, "idle": watches.idle, "busy": busy.busy,
    }  # fmt: skip
    keep_freed_memory()  # as the server does: TLS reads into 256 KiB each time, which costs 20 us a request otherwise
    wish = msgspec.json.decode(text, type=Wish)
    place = on_one_core(wish.where.pids.values()) if wish.one_core else contextlib.nullcontext()
    with place, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(loads[name](wish))
    print(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
