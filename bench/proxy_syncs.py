"""How long thousands of services take in each mode of kube-proxy, and how long the tool that it calls takes alone.

A process of its own in a namespace, without an API server: from the last object read to the last rule that stands. Then
the tables are emptied, and the tool (iptables-restore, nft) is fed with the same texts once more: less than that no
kube-proxy that writes rules through it can take. `python -m bench.proxy_syncs iptables 1000` there prints the figures.
"""

import asyncio
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

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
from labkit.components.kube_proxy import command as command_line
from labkit.components.kube_proxy import iptables_table, nftables_table
from labkit.components.kube_proxy.balancer import Balancer
from labkit.components.kube_proxy.command import run
from labkit.components.kube_proxy.kernel import Kernel
from labkit.components.kube_proxy.modes import FIREWALLS
from labkit.components.kube_proxy.modes import remove as cleanup
from labkit.components.kube_proxy.nat import Iptables
from labkit.components.kube_proxy.relay import Relay, raise_descriptor_limit
from labkit.components.kube_proxy.userspace import Machine, Userspace
from labkit.trace import Tracer
from tests.node.netns import NODE_IP, Netns

SYNC_SECONDS = 300.0  # no sync may take longer

TOOLS = {"userspace": "iptables-restore", "iptables": "iptables-restore", "nftables": "nft"}

LIMITS = {  # why a goal is missed where it is, as perf(1) shows it; changes, of 10,000 services
    "userspace change": "to delete a rule, iptables-restore reads both chains of 10,000 rules; the new one stands"
    " after a fifth of this time",
    "iptables whole": "iptables-restore 1.8.9 takes 30 us for each rule, 16 of a service; half of it in the kernel",
    "iptables change": "all of it is a check in the kernel: with each new jump it walks all 160,000 rules from both nat"
    " hooks, whatever changed (nft_chain_validate)",
    "nftables whole": "for each service's vmap the kernel looks through all vmaps that are there already, four"
    " times (nf_tables_newset, nft_set_lookup_global): of 10,000 most of nft's time",
    "nftables change": "half of it nft reads the names of all 60,000 chains before it adds a rule, a third is the"
    " kernel's check of every jump (nft_table_validate)",
}

Say = Callable[[str], None]


async def syncs(node: Netns, say: Say) -> list[Row]:
    """Rules written for 1,000 and 10,000 services with 5 endpoints, and for one that changes."""
    found = []
    for mode in ("userspace", *FIREWALLS):
        for count, whole, change in ((1000, 0.5, 0.3), (10_000, 5.0, 0.3)):
            say(f"{mode}: {count} services")
            told = json.loads(await asyncio.to_thread(_synced, node, mode, count))
            what = f"{mode} mode: {count} services with 5 endpoints"
            for name, key, goal in (("synced", "whole", whole), ("one changed", "change", change)):
                seconds, own, tools = told[key]
                beside = {
                    "CPU of kube-proxy, s": round(own, 2), f"CPU of {TOOLS[mode]}, s": round(tools, 2),
                    f"{TOOLS[mode]} alone, fed with the same, s": round(told["alone"][key], 2),
                }  # fmt: skip
                row = Row(name=f"{what}, {name}", value=seconds, unit="s", better="lower", goal=goal, beside=beside)
                row.note = "" if row.met or (key, count) == ("change", 1000) else LIMITS.get(f"{mode} {key}", "")
                found.append(row)
            if count == 1000:
                found.append(Row(name=f"{what}, memory", value=told["mb"], unit="MB", better="lower", goal=60))
    return found


_CALLERS = (iptables_table, nftables_table, command_line)


class _Tools:
    """Every run of a tool that was told something, to be run again without kube-proxy: how long that takes alone."""

    def __init__(self) -> None:
        self.runs: list[tuple[tuple[str, ...], str]] = []

    async def run(self, failure: type[Exception], *command: str, text: str = "", package: str) -> str:
        if text:
            self.runs.append((command, text))
        return await run(failure, *command, text=text, package=package)

    def alone(self, first: int, last: int) -> float:
        """Seconds that these runs take, one after the other, on the tables as they are."""
        began = time.perf_counter()
        for command, text in self.runs[first:last]:
            subprocess.run(command, input=text.encode(), timeout=SYNC_SECONDS, check=True)
        return time.perf_counter() - began


@contextmanager
def _heard() -> Iterator[_Tools]:
    tools = _Tools()
    for module in _CALLERS:
        vars(module)["run"] = tools.run
    try:
        yield tools
    finally:
        for module in _CALLERS:
            vars(module)["run"] = run


def _synced(node: Netns, mode: str, count: int) -> str:
    command = node.command(sys.executable, "-m", "bench.proxy_syncs", mode, str(count))
    return subprocess.run(command, capture_output=True, text=True, timeout=SYNC_SECONDS, check=True).stdout


class _Timed(NamedTuple):
    seconds: float
    own: float  # seconds of a processor that this process used
    tools: float  # ... and those that it has waited for


async def _sync_userspace(count: int, tools: _Tools) -> dict[str, Any]:
    """The same of the userspace mode, whose rules change with services only."""
    quiet = Tracer("kube-proxy", io.StringIO())
    relay = Relay(Balancer(), lambda *_, **__: None, lambda *_, **__: None, raise_descriptor_limit())
    mode = Userspace(relay, Iptables(), Machine("0.0.0.0", NODE_IP), quiet, lambda *_: None)
    carrying = asyncio.create_task(asyncio.to_thread(relay.run))
    services = {f"default/s{number}": _service(number) for number in range(count)}
    for number in range(count):
        mode.endpoints_changed(None, _endpoints(number, 5))
    whole = await _timed(mode, services, dict.fromkeys(services, "added"))
    written, resident = len(tools.runs), resident_mb(os.getpid())
    services["default/s5"] = _service(5, 81)
    change = await _timed(mode, services, {"default/s5": "updated"})
    relay.stop()
    await carrying
    mode.close()
    relay.close()
    last = len(tools.runs)
    await cleanup()
    alone = {"whole": tools.alone(0, written), "change": tools.alone(written, last)}
    await cleanup()
    return {"whole": whole, "change": change, "mb": resident, "alone": alone}


async def _sync(mode: str, count: int) -> dict[str, Any]:
    with _heard() as tools:
        return await (_sync_userspace(count, tools) if mode == "userspace" else _sync_kernel(mode, count, tools))


async def _sync_kernel(mode: str, count: int, tools: _Tools) -> dict[str, Any]:
    quiet = Tracer("kube-proxy", io.StringIO())
    kernel = Kernel(FIREWALLS[mode](), "0.0.0.0", quiet, lambda *_: None)
    services = {f"default/s{number}": _service(number) for number in range(count)}
    for number in range(count):
        kernel.endpoints_changed(None, _endpoints(number, 5))
    await kernel.prepare()
    tools.runs.clear()
    whole = await _timed(kernel, services, dict.fromkeys(services, "added"))
    written, resident = len(tools.runs), resident_mb(os.getpid())
    kernel.endpoints_changed(None, _endpoints(5, 3))
    change = await _timed(kernel, services, {})
    last = len(tools.runs)
    await kernel.firewall.remove()
    alone = {"whole": tools.alone(0, written), "change": tools.alone(written, last)}
    await kernel.firewall.remove()
    return {"whole": whole, "change": change, "mb": resident, "alone": alone}


async def _timed(mode: Kernel | Userspace, services: dict[str, Service], causes: dict[str, str]) -> _Timed:
    began, own, tools = time.perf_counter(), _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN)
    await mode.sync(services, causes)
    return _Timed(time.perf_counter() - began, _cpu(resource.RUSAGE_SELF) - own, _cpu(resource.RUSAGE_CHILDREN) - tools)


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


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
