"""kube-proxy between two pods of one machine, beside the direct path, haproxy and socat: a stream (iperf3), new
connections, round trips, delays; the kernel's modes beside one bare DNAT rule; how long thousands of services take.

The machine is made of network namespaces (root), without a way out; kube-proxy is the real process, the load is made by
load.py in the pods' namespaces. The ways alternate; figures are medians (of delays the least), shares of the same run.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import HAPROXY, Missing, Peer, carrying, find
from bench.processes import cpu_seconds, resident_mb
from bench.proxy_modes import beside_one_rule
from bench.proxy_syncs import syncs
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

ROUNDS, DELAY_ROUNDS, SECONDS = 3, 4, 1.0
SERVICES, IDLE_SECONDS = 1000, 10.0  # two looks at the whole table
WEB, PORT, BARE_PORT, STREAM_PORT = "10.0.0.12", 8000, 8001, 5201
GATEWAY = "10.244.2.1"  # the node, as its pods reach it
DIRECT, PROXY = "direct", "kube-proxy"
STREAM, ONE, SIXTEEN, TRIPS, DELAYS = "stream", "connections 1", "connections 16", "trips", "delays 50"
Say = Callable[[str], None]
Figures = dict[str, dict[str, float]]  # load -> way -> what it carried


def rows(say: Say) -> list[Row]:
    if os.geteuid():
        raise PermissionError("bench proxy needs root for its network namespaces: sudo make bench WHAT=proxy")
    return asyncio.run(_rows(say))


async def _rows(say: Say) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder)) as lab:
            await _forget_at_once(lab)
            await _web(lab)
            proxy = await lab.proxy()
            with _serving(lab.spaces["pod-b"], PORT):
                figures, generator = await _carried(lab, Path(folder), say)
            await proxy.stop()
            with _serving(lab.spaces["pod-b"], PORT), _serving(lab.spaces["pod-b"], BARE_PORT):
                later_modes = await beside_one_rule(lab, BARE_PORT, say)
            later_modes += await syncs(lab.spaces["node"], say)
            say(f"{SERVICES} services")
            at_many = await _many_services(lab, say)
    return [
        *_shares(figures, generator),
        *at_many,
        *later_modes,
    ]


async def _forget_at_once(lab: World) -> None:
    """No way's connections are in the way of another's.

    A server keeps the ports of a connection that it has closed for a minute. One with the same ports that came another
    way has timestamps of another series (they depend on the address that the client asked), is taken for an old packet,
    and its client tries again after a second: 300 connections/s where there are 5,000.
    """
    await lab.run("pod-b", "sysctl", "-qw", "net.ipv4.tcp_max_tw_buckets=0")
    await lab.run("node", "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1")


async def _web(lab: World) -> None:
    ports = {"web": (80, PORT), "stream": (STREAM_PORT, STREAM_PORT)}
    asked = [ServicePort(name=name, port=port, protocol="TCP") for name, (port, _) in ports.items()]
    served = tuple(EndpointPort(name=name, port=port, protocol="TCP") for name, (_, port) in ports.items())
    await lab.service("web", WEB, *asked)
    await lab.endpoints("web", POD_IPS["pod-b"], ports=served)


# -- what is carried, on each way ----------------------------------------------------------------------------------


async def _carried(lab: World, folder: Path, say: Say) -> tuple[Figures, float]:
    """The typical figure of each load on each way; the generator's own microseconds of processor for a connection."""
    pod_b = POD_IPS["pod-b"]
    ways = {80: (pod_b, PORT), STREAM_PORT: (pod_b, STREAM_PORT)}
    iperf3 = _iperf3()
    measured: dict[str, dict[str, list[float]]] = {}
    used: list[float] = []
    with carrying(lab.spaces["node"], folder, ways, first_port=20_000) as peers, _listening(lab, iperf3):
        targets = {DIRECT: (pod_b, 0), PROXY: (WEB, 0), **{name: (GATEWAY, add) for name, add in peers.items()}}
        for number in range(ROUNDS + DELAY_ROUNDS):
            for load in (STREAM, ONE, SIXTEEN, TRIPS, DELAYS) if number < ROUNDS else (DELAYS,):
                for way, (ip, shift) in targets.items():
                    say(f"round {number + 1} of {ROUNDS + DELAY_ROUNDS}: {load}, {way}")
                    port = STREAM_PORT if load == STREAM else PORT if way == DIRECT else 80
                    value, cpu = await _load(lab.spaces["pod-a"], load, ip, port + shift, iperf3)
                    measured.setdefault(load, {}).setdefault(way, []).append(value)
                    if load == ONE and way == DIRECT:
                        used.append(1e6 * cpu / (value * SECONDS))
    typical = {
        load: min if load == DELAYS else statistics.median for load in measured
    }  # neighbours only ever add delay
    figures = {load: {way: typical[load](each) for way, each in by.items()} for load, by in measured.items()}
    return figures, statistics.median(used)


async def _load(client: Netns, load: str, ip: str, port: int, iperf3: Peer) -> tuple[float, float]:
    """A load's figure, and the processor seconds that it took to make it."""
    if load == STREAM:
        command = iperf3.command("-c", ip, "-p", str(port), "-t", "2", "-J")
        told = json.loads(await asyncio.to_thread(client.run, *command))
        return told["end"]["sum_received"]["bits_per_second"] / 1e9, 0.0
    command = [sys.executable, "-m", "bench.load", *load.split(), ip, str(port), str(SECONDS)]
    told = json.loads(await asyncio.to_thread(client.run, *command))
    return told["value"], told["cpu"]


def _iperf3() -> Peer:
    try:
        return find("iperf3")
    except Missing as exc:
        raise Missing(f"the stream is made by iperf3: {exc}") from exc


@contextmanager
def _listening(lab: World, iperf3: Peer) -> Iterator[None]:
    command = lab.spaces["pod-b"].command(*iperf3.command("-s", "-p", str(STREAM_PORT), "--forceflush"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            while b"listening" not in process.stdout.readline():
                pass
            yield
        finally:
            process.terminate()


# -- rows ----------------------------------------------------------------------------------------------------------


def _shares(figures: Figures, generator: float) -> list[Row]:
    cost = f"the generator itself takes {generator:.0f} us of a processor for a connection"
    rows = [
        _share(figures[STREAM], "one stream, Gbit/s", DIRECT, 50, "goal 60 %"),
        _share(figures[ONE], "new connections/s, 1 client", DIRECT, 38, f"goal 45 %; {cost}"),
        _share(figures[SIXTEEN], "new connections/s, 16 clients", DIRECT, 38, f"goal 45 %; {cost}"),
        _share(figures[TRIPS], "request round trips/s", DIRECT, 40, ""),
        _delay(figures[DELAYS]),
    ]
    if HAPROXY not in figures[STREAM]:
        rows[0].note += f"; no {HAPROXY} to compare with: apt-get install {HAPROXY}"
        return rows
    rows[1:1] = [_share(figures[STREAM], "one stream, Gbit/s", HAPROXY, 100, "")]
    rows[3:3] = [_share(figures[ONE], "new connections/s, 1 client", HAPROXY, 75, "goal 80 %")]
    rows[5:5] = [_share(figures[SIXTEEN], "new connections/s, 16 clients", HAPROXY, 75, "goal 80 %")]
    return rows


def _share(by_way: dict[str, float], what: str, of: str, goal: float, note: str) -> Row:
    beside = {way: round(value, 1 if value < 100 else None) for way, value in by_way.items()}
    share = 100 * by_way[PROXY] / by_way[of]
    return Row(
        name=f"{what}, as a share of {of}", value=share, unit="%", better="higher", goal=goal, beside=beside, note=note
    )


def _delay(by_way: dict[str, float]) -> Row:
    """How much longer the slowest of 100 round trips takes through kube-proxy."""
    added = by_way[PROXY] - by_way[DIRECT]
    beside = {way: round(value, 2) for way, value in by_way.items()}
    note = "50 connections, each of which asks 20 times a second; the p99 of the least disturbed round"
    name = "added latency p99 at 50 connections"
    return Row(name=name, value=max(0.0, added), unit="ms", better="lower", goal=2, beside=beside, note=note)


# -- thousands of services -----------------------------------------------------------------------------------------


async def _many_services(lab: World, say: Say) -> list[Row]:
    """A kube-proxy that finds all of them: from having read them to the last rule; what it takes with nothing to do."""
    for start in range(0, SERVICES, 50):
        await asyncio.gather(*(_service(lab, number) for number in range(start, start + 50)))
    proxy = await lab.proxy()
    (written,) = proxy.said(message="rules written")
    assert written["service_ports"] > SERVICES
    say(f"{SERVICES} services, nothing to do")
    before = cpu_seconds(proxy.process.pid)
    await asyncio.sleep(IDLE_SECONDS)
    idle = 100 * (cpu_seconds(proxy.process.pid) - before) / IDLE_SECONDS
    at = f"at {SERVICES} services"
    return [
        Row(name=f"{SERVICES} services synced", value=written["seconds"], unit="s", better="lower", goal=0.5),
        Row(name=f"kube-proxy's memory {at}", value=resident_mb(proxy.process.pid), unit="MB", better="lower", goal=60),
        Row(name=f"kube-proxy's processor with nothing to do {at}", value=idle, unit="%", better="lower"),
    ]


async def _service(lab: World, number: int) -> None:
    meta = ObjectMeta(name=f"s{number}", namespace="default")
    spec = ServiceSpec(ports=[ServicePort(port=80, protocol="TCP")])
    ready = [EndpointAddress(ip=f"10.244.{number % 200 + 3}.{host}") for host in range(2, 7)]
    subset = EndpointSubset(addresses=ready, ports=[EndpointPort(port=80, protocol="TCP")])
    await lab.client.create(Service(metadata=meta, spec=spec))
    await lab.client.create(Endpoints(metadata=ObjectMeta(name=f"s{number}", namespace="default"), subsets=[subset]))


@contextmanager
def _serving(space: Netns, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        space.command(sys.executable, "-m", "bench.load", "serve", str(port)), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        yield
    finally:
        process.terminate()
        process.wait(10)
