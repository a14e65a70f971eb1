"""A cluster at work: 3,000 pods, 100 nodes that report, controllers that watch, people who look. How long is a call?

each node    its status and one of its pods' every second (a kubelet's every 10 s), a watch of its own pods
controllers  three watches of all pods
people       GET 20 times a second, a list by label 5 times, a list of all pods twice, a pod made and deleted 5 times
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from bench.api.connection import Connection, Target, WrongAnswer, ask, connect, request
from bench.api.figures import Figures, measured, quantile
from bench.api.pods import pod
from bench.api.watches import watching

if TYPE_CHECKING:
    from bench.api.load import Wish

NAMESPACE = "/api/v1/namespaces/bench"
NODES, PODS_PER_NODE = 100, 30
Ask = Callable[[Connection, str, bytes, int], Awaitable[bytes]]


async def busy(wish: Wish) -> Figures:
    """count: calls; p50, p99: of all of them; calls: the p99 of each, in ms. `wish.nodes`: the folder of their keys."""
    admin, figures = wish.where.target(), Figures()
    targets = [wish.node_target(f"n{number}") for number in range(NODES)]
    nodes = [await connect(target) for target in targets]
    await _fill(admin, nodes)
    for number, target in enumerate(targets):
        question = request("GET", f"{NAMESPACE}/pods?watch=true&fieldSelector=spec.nodeName%3Dn{number}")
        await watching(target, 1, question, 0)
    await watching(admin, 3, request("GET", f"{NAMESPACE}/pods?watch=true&resourceVersion=0"), 0)
    times: dict[str, list[float]] = {}
    until = time.perf_counter() + wish.seconds

    async def timed(connection: Connection, name: str, data: bytes, expected: int) -> bytes:
        started = time.perf_counter()
        status, body = await ask(connection, data)
        times.setdefault(name, []).append(time.perf_counter() - started)
        if status != expected:
            raise WrongAnswer(f"{name}: {status} {body[:300]!r}: expected {expected}")
        return body

    with measured(figures, wish.where.pids):
        people = [await connect(admin) for _ in range(4)]
        loops = [_node(timed, node, number, until) for number, node in enumerate(nodes)]
        await asyncio.gather(*loops, *_people(timed, people, until))
        figures.count = sum(map(len, times.values()))
    every = [seconds for each in times.values() for seconds in each]
    figures.p50, figures.p99 = 1e3 * quantile(every, 0.5), 1e3 * quantile(every, 0.99)
    figures.calls = {name: round(1e3 * quantile(each, 0.99), 1) for name, each in times.items()}
    return figures


async def _fill(admin: Target, nodes: list[Connection]) -> None:
    for number, node in enumerate(nodes):
        await _must(node, request("POST", "/api/v1/nodes", _node_body(number)), 201)
    makers = [await connect(admin) for _ in range(16)]
    places = iter([(node, number) for number in range(PODS_PER_NODE) for node in range(NODES)])

    async def make(connection: Connection) -> None:
        for node, number in places:
            body = pod(f"n{node}-{number}", f"app{node}", f"n{node}")
            await _must(connection, request("POST", f"{NAMESPACE}/pods", body), 201)

    await asyncio.gather(*map(make, makers))


async def _must(connection: Connection, data: bytes, expected: int) -> None:
    status, body = await ask(connection, data)
    if status != expected:
        raise WrongAnswer(f"{status} {body[:300]!r}: expected {expected}")


async def _node(timed: Ask, connection: Connection, number: int, until: float) -> None:
    await asyncio.sleep(number / NODES)  # not all at the same moment
    for turn in itertools.count():
        if time.perf_counter() > until:
            return
        body = _node_body(number, turn)
        await timed(connection, "PUT node status", request("PUT", f"/api/v1/nodes/n{number}/status", body), 200)
        name = f"n{number}-{turn % PODS_PER_NODE}"
        status = _pod_status(name, turn)
        await timed(connection, "PUT pod status", request("PUT", f"{NAMESPACE}/pods/{name}/status", status), 200)
        await asyncio.sleep(1)


def _people(timed: Ask, connections: list[Connection], until: float) -> Iterator[Awaitable[None]]:
    async def every(seconds: float, connection: Connection, name: str, path: str) -> None:
        while time.perf_counter() < until:
            await timed(connection, name, request("GET", f"{NAMESPACE}/{path}"), 200)
            await asyncio.sleep(seconds)

    async def make_and_delete(connection: Connection) -> None:
        for turn in itertools.count():
            if time.perf_counter() > until:
                return
            await timed(connection, "POST pod", request("POST", f"{NAMESPACE}/pods", pod(f"short-{turn}")), 201)
            await timed(connection, "DELETE pod", request("DELETE", f"{NAMESPACE}/pods/short-{turn}"), 200)
            await asyncio.sleep(0.2)

    yield every(0.05, connections[0], "GET pod", "pods/n7-7")
    yield every(0.2, connections[1], "LIST 30 of 3,000 by label", "pods?labelSelector=app%3Dapp42")
    yield every(0.5, connections[2], "LIST 3,000 pods", "pods")
    yield make_and_delete(connections[3])


def _node_body(number: int, turn: int = 0) -> bytes:
    beat = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    condition = {"type": "Ready", "status": "True", "reason": f"beat {turn}", "lastHeartbeatTime": beat}
    return _json({
        "kind": "Node", "apiVersion": "v1", "metadata": {"name": f"n{number}"},
        "status": {"capacity": {"cpu": "4", "memory": "8Gi", "pods": "100"}, "conditions": [condition]},
    })  # fmt: skip


def _pod_status(name: str, turn: int) -> bytes:
    return _json({
        "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name},
        "status": {"phase": "Running", "hostIP": "10.245.1.3", "podIP": "10.244.1.9", "message": f"turn {turn}"},
    })  # fmt: skip


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
