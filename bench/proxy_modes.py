"""The iptables and nftables modes of kube-proxy beside one bare DNAT rule; how long thousands of services take in each.

A bare rule is the least that a kernel must do to send a connection elsewhere; whatever a mode costs on top is the price
of services. The syncs run in a process of their own in a namespace, without an API server: from the last object read to
the last rule that stands. `python -m bench.proxy_modes iptables 1000` there prints four figures.
"""

import asyncio
import io
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.processes import resident_mb
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
from labkit.components.kube_proxy.balancer import Balancer
from labkit.components.kube_proxy.kernel import Kernel
from labkit.components.kube_proxy.modes import FIREWALLS
from labkit.components.kube_proxy.modes import remove as cleanup
from labkit.components.kube_proxy.nat import Iptables
from labkit.components.kube_proxy.relay import Relay, raise_descriptor_limit
from labkit.components.kube_proxy.userspace import Machine, Userspace
from labkit.trace import Tracer
from tests.node.netns import NODE_IP, POD_IPS, Netns

if TYPE_CHECKING:  # an API server would be in the memory that is measured
    from tests.node.world import World

ROUNDS, SECONDS = 5, 1.0
BARE, WEB = "10.0.9.9", "10.0.0.12"
LOADS = {
    "connections 1": "new connections/s",
    "connections 16": "new connections/s, 16 clients",
    "trips": "round trips/s",
}
Say = Callable[[str], None]


async def beside_one_rule(lab: "World", port: int, say: Say) -> list[Row]:
    """Each mode's share of what one DNAT rule carries, in turn; a server listens on pod-b's `port`."""
    rule = ("-d", BARE, "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to", f"{POD_IPS['pod-b']}:{port}")
    found = []
    for mode in FIREWALLS:
        proxy = await lab.proxy(f"--proxy-mode={mode}")
        await lab.run("node", "iptables", "-t", "nat", "-A", "PREROUTING", *rule)
        for load, what in LOADS.items():
            say(f"{mode}: {load}")
            found.append(await _share(lab.spaces["pod-a"], mode, load, what))
        await lab.run("node", "iptables", "-t", "nat", "-D", "PREROUTING", *rule)
        await proxy.stop()
    return found


async def _share(client: Netns, mode: str, load: str, what: str) -> Row:
    figures: dict[str, list[float]] = {WEB: [], BARE: []}
    for number in range(ROUNDS):
        for ip in (WEB, BARE) if number % 2 else (BARE, WEB):
            command = [sys.executable, "-m", "bench.load", *load.split(), ip, "80", str(SECONDS)]
            figures[ip].append(json.loads(await asyncio.to_thread(client.run, *command))["value"])
    carried, bare = statistics.median(figures[WEB]), statistics.median(figures[BARE])
    name = f"{mode} mode: {what} as a share of one bare DNAT rule"
    beside: dict[str, float] = {mode: round(carried), "one rule": round(bare)}
    return Row(name=name, value=100 * carried / bare, unit="%", better="higher", goal=95, beside=beside)


async def syncs(node: Netns, say: Say) -> list[Row]:
    """Rules written for 1,000 and 10,000 services with 5 endpoints, and for one that changes."""
    found = []
    for mode in ("userspace", *FIREWALLS):
        for count, whole, change in ((1000, 0.5, 0.3), (10_000, 5.0, 0.3)):
            say(f"{mode}: {count} services")
            command = [sys.executable, "-m", "bench.proxy_modes", mode, str(count)]
            told = json.loads(await asyncio.to_thread(node.run, *command))
            what = f"{mode} mode: {count} services with 5 endpoints"
            beside = {"CPU, s": round(told["cpu"], 2)}
            found += [
                Row(name=f"{what} synced", value=told["whole"], unit="s", better="lower", goal=whole, beside=beside),
                Row(name=f"{what}, one changed", value=told["change"], unit="s", better="lower", goal=change),
            ]
            if count == 1000:
                found.append(Row(name=f"{what}, memory", value=told["mb"], unit="MB", better="lower", goal=60))
    return found


@dataclass
class _Timed:
    seconds: float
    cpu: float


async def _sync_userspace(count: int) -> dict[str, float]:
    """The same of the userspace mode, whose rules change with services only."""
    quiet = Tracer("kube-proxy", io.StringIO())
    relay = Relay(Balancer(), lambda *_, **__: None, lambda *_, **__: None, raise_descriptor_limit())
    mode = Userspace(relay, Iptables(), Machine("0.0.0.0", NODE_IP), quiet, lambda *_: None)
    carrying = asyncio.create_task(asyncio.to_thread(relay.run))
    services = {f"default/s{number}": _service(number) for number in range(count)}
    for number in range(count):
        mode.endpoints_changed(None, _endpoints(number, 5))
    whole = await _timed(mode, services, dict.fromkeys(services, "added"))
    resident = resident_mb(os.getpid())
    services["default/s5"] = _service(5, 81)
    change = await _timed(mode, services, {"default/s5": "updated"})
    relay.stop()
    await carrying
    mode.close()
    relay.close()
    await cleanup()
    return {"whole": whole.seconds, "change": change.seconds, "cpu": whole.cpu, "mb": resident}


async def _sync(mode: str, count: int) -> dict[str, float]:
    if mode == "userspace":
        return await _sync_userspace(count)
    quiet = Tracer("kube-proxy", io.StringIO())
    kernel = Kernel(FIREWALLS[mode](), "0.0.0.0", quiet, lambda *_: None)
    services = {f"default/s{number}": _service(number) for number in range(count)}
    for number in range(count):
        kernel.endpoints_changed(None, _endpoints(number, 5))
    await kernel.prepare()
    whole = await _timed(kernel, services, dict.fromkeys(services, "added"))
    resident = resident_mb(os.getpid())
    kernel.endpoints_changed(None, _endpoints(5, 3))
    change = await _timed(kernel, services, {})
    await kernel.firewall.remove()
    return {"whole": whole.seconds, "change": change.seconds, "cpu": whole.cpu, "mb": resident}


async def _timed(mode: Kernel | Userspace, services: dict[str, Service], causes: dict[str, str]) -> _Timed:
    began, cpu = time.perf_counter(), _cpu()
    await mode.sync(services, causes)
    return _Timed(time.perf_counter() - began, _cpu() - cpu)


def _cpu() -> float:
    """Of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _meta(number: int) -> ObjectMeta:
    return ObjectMeta(name=f"s{number}", namespace="default")


def _service(number: int, port: int = 80) -> Service:
    ip = f"10.0.{10 + number // 250}.{number % 250 + 1}"
    return Service(
        metadata=_meta(number), spec=ServiceSpec(cluster_ip=ip, ports=[ServicePort(port=port, protocol="TCP")])
    )


def _endpoints(number: int, count: int) -> Endpoints:
    ready = [EndpointAddress(ip=f"10.244.{number % 200 + 3}.{host}") for host in range(2, 2 + count)]
    subset = EndpointSubset(addresses=ready, ports=[EndpointPort(port=80, protocol="TCP")])
    return Endpoints(metadata=_meta(number), subsets=[subset])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_sync(sys.argv[1], int(sys.argv[2])))))
