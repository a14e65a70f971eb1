"""kube-proxy between two pods of one machine, beside the direct path: a stream, new connections, round trips; and how
long it takes to write the rules of 1,000 services.

The machine is made of network namespaces (root), kube-proxy is the real process, the load is made by this file:
`python -m bench.proxy serve|stream|trips|connections ...` in the pods' namespaces. Direct and proxied runs alternate,
the figures are medians, shares are of the direct path in the same run.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import resident_mb
from bench.proxy_modes import beside_one_rule, syncs
from bench.rows import Row
from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from tests.node.netns import POD_IPS, Netns
from tests.node.world import World, world

ROUNDS, SECONDS = 3, 1.5
SERVICES = 1000
WEB, PORT = "10.0.0.12", 8000
Say = Callable[[str], None]


def rows(say: Say) -> list[Row]:
    if os.geteuid():
        raise PermissionError("bench proxy needs root for its network namespaces: sudo make bench WHAT=proxy")
    return asyncio.run(_rows(say))


async def _rows(say: Say) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder)) as lab:
            await _web(lab)
            proxy = await lab.proxy()
            with _serving(lab.spaces["pod-b"]):
                carried = await _carried(lab.spaces["pod-a"], say)
            await proxy.stop()
            with _serving(lab.spaces["pod-b"]):
                later_modes = await beside_one_rule(lab, PORT, say)
            later_modes += await syncs(lab.spaces["node"], say)
            say(f"{SERVICES} services")
            synced, resident = await _many_services(lab)
    return [
        *carried,
        Row(name=f"{SERVICES} services with 5 endpoints synced", value=synced, unit="s", better="lower", goal=0.5),
        Row(name=f"kube-proxy's memory at {SERVICES} services", value=resident, unit="MB", better="lower", goal=60),
        *later_modes,
    ]


async def _web(lab: World) -> None:
    await lab.service("web", WEB, ServicePort(port=80, protocol="TCP"))
    await lab.endpoints("web", POD_IPS["pod-b"], ports=(EndpointPort(port=PORT, protocol="TCP"),))


async def _carried(client: Netns, say: Say) -> list[Row]:
    """Each load direct and through kube-proxy, in turn."""
    figures: dict[tuple[str, str], list[float]] = {}
    targets = {"direct": (POD_IPS["pod-b"], PORT), "kube-proxy": (WEB, 80)}
    for number in range(ROUNDS):
        for load, _, _ in _LOADS:
            for way, (ip, port) in targets.items():
                say(f"round {number + 1} of {ROUNDS}: {load} {way}")
                command = [sys.executable, "-m", "bench.proxy", *load.split(), ip, str(port), str(SECONDS)]
                measured = float(await asyncio.to_thread(client.run, *command))
                figures.setdefault((load, way), []).append(measured)
    return [_share(name, figures[load, "kube-proxy"], figures[load, "direct"], goal) for load, name, goal in _LOADS]


_LOADS = (
    ("stream", "one stream, Gbit/s as a share of direct", 50.0),
    ("connections 1", "new connections/s, 1 client, as a share of direct", 38.0),
    ("connections 16", "new connections/s, 16 clients, as a share of direct", 38.0),
    ("trips", "request round trips/s as a share of direct", 40.0),
)


def _share(name: str, proxied: list[float], direct: list[float], goal: float) -> Row:
    through, straight = statistics.median(proxied), statistics.median(direct)
    beside = {"kube-proxy": round(through, 1), "direct": round(straight, 1)}
    return Row(name=name, value=100 * through / straight, unit="%", better="higher", goal=goal, beside=beside)


async def _many_services(lab: World) -> tuple[float, float]:
    """A kube-proxy that finds all of them: seconds from having read them to the last rule, and its memory."""
    for start in range(0, SERVICES, 50):
        await asyncio.gather(*(_service(lab, number) for number in range(start, start + 50)))
    proxy = await lab.proxy()
    (written,) = proxy.said(message="rules written")
    assert written["service_ports"] > SERVICES
    return written["seconds"], resident_mb(proxy.process.pid)


async def _service(lab: World, number: int) -> None:
    meta = ObjectMeta(name=f"s{number}", namespace="default")
    spec = ServiceSpec(ports=[ServicePort(port=80, protocol="TCP")])
    ready = [EndpointAddress(ip=f"10.244.{number % 200 + 3}.{host}") for host in range(2, 7)]
    subset = EndpointSubset(addresses=ready, ports=[EndpointPort(port=80, protocol="TCP")])
    await lab.client.create(Service(metadata=meta, spec=spec))
    await lab.client.create(Endpoints(metadata=ObjectMeta(name=f"s{number}", namespace="default"), subsets=[subset]))


@contextmanager
def _serving(space: Netns) -> Iterator[None]:
    process = subprocess.Popen(
        space.command(sys.executable, "-m", "bench.proxy", "serve", str(PORT)), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        yield
    finally:
        process.terminate()
        process.wait(10)


# -- the load, as processes in the pods ----------------------------------------------------------------------------


def serve(port: int) -> None:
    """Each connection says by its first byte what it wants: c one byte back, t all that it sends back, s nothing."""
    listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        kind = client.recv(1)
        if kind == b"c":
            client.send(b"x")
            client.close()
        else:
            threading.Thread(target=_echo if kind == b"t" else _swallow, args=(client,), daemon=True).start()


def _echo(client: socket.socket) -> None:
    while data := client.recv(4096):
        client.send(data)
    client.close()


def _swallow(client: socket.socket) -> None:
    buffer = bytearray(1 << 18)
    while client.recv_into(buffer):
        pass
    client.close()


def stream(ip: str, port: int, seconds: float) -> float:
    """Gbit/s that one connection takes."""
    payload, total = bytes(1 << 17), 0
    with socket.create_connection((ip, port), timeout=10) as sock:
        sock.send(b"s")
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            total += sock.send(payload)
        return total * 8 / 1e9 / (time.perf_counter() - began)


def trips(ip: str, port: int, seconds: float) -> float:
    """Round trips of one byte a second, on one connection."""
    count = 0
    with socket.create_connection((ip, port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.send(b"t")
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            sock.send(b"x")
            count += len(sock.recv(1))
        return count / (time.perf_counter() - began)


def connections(clients: int, ip: str, port: int, seconds: float) -> float:
    """Connections a second, each opened, asked for one byte, and closed, by so many clients at once."""
    counts = [0] * clients
    until = time.perf_counter() + seconds

    def one(number: int) -> None:
        while time.perf_counter() < until:
            with socket.create_connection((ip, port), timeout=10) as sock:
                sock.send(b"c")
                counts[number] += len(sock.recv(1))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve", port]:
            serve(int(port))
        case ["stream", ip, port, seconds]:
            print(stream(ip, int(port), float(seconds)))
        case ["trips", ip, port, seconds]:
            print(trips(ip, int(port), float(seconds)))
        case ["connections", clients, ip, port, seconds]:
            print(connections(int(clients), ip, int(port), float(seconds)))
        case _:
            sys.exit(f"expected serve PORT, stream|trips IP PORT SECONDS or connections N IP PORT SECONDS: {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
