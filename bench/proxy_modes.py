"""The iptables and nftables modes of kube-proxy beside one bare DNAT rule.

A bare rule is the least that a kernel must do to send a connection elsewhere; whatever a mode costs on top is the price
of services.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.rows import Row
from labkit.components.kube_proxy.modes import FIREWALLS
from tests.node.netns import POD_IPS

if TYPE_CHECKING:  # an API server would be in the memory that is measured
    from tests.node.world import World

ROUNDS, SECONDS = 5, 0.5
BARE, WEB = "10.0.9.9", "10.0.0.12"
LOADS = {
    "connections 1": "new connections/s",
    "connections 16": "new connections/s, 16 clients",
    "trips": "round trips/s",
}
Say = Callable[[str], None]


async def beside_one_rule(lab: "World", port: int, say: Say) -> list[Row]:
    """Each mode's share of what one DNAT rule carries, in turn; pod-b has the rule's server on `port`.

    It is not the service's: a connection that looks to a server like one that the other way has just closed must wait.
    """
    rule = ("-d", BARE, "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to", f"{POD_IPS['pod-b']}:{port}")
    found = []
    for mode in FIREWALLS:
        proxy = await lab.proxy(f"--proxy-mode={mode}")
        await lab.run("node", "iptables", "-t", "nat", "-A", "PREROUTING", *rule)
        for load, what in LOADS.items():
            say(f"{mode}: {load}")
            found.append(await _share(lab, mode, load, what))
        await lab.run("node", "iptables", "-t", "nat", "-D", "PREROUTING", *rule)
        await proxy.stop()
    return found


async def _share(lab: "World", mode: str, load: str, what: str) -> Row:
    """The median of the shares of ROUNDS pairs, each measured back to back."""
    figures: dict[str, list[float]] = {WEB: [], BARE: []}
    for number in range(ROUNDS):
        for ip in (WEB, BARE) if number % 2 else (BARE, WEB):
            command = [sys.executable, "-m", "bench.load", *load.split(), ip, "80", str(SECONDS)]
            figures[ip].append(json.loads(await asyncio.to_thread(lab.spaces["pod-a"].run, *command))["value"])
    share = statistics.median(100 * web / bare for web, bare in zip(*figures.values(), strict=True))
    name = f"{mode} mode: {what} as a share of one bare DNAT rule"
    beside: dict[str, float] = {
        mode: round(statistics.median(figures[WEB])),
        "one rule": round(statistics.median(figures[BARE])),
    }
    note = f"the median share of {ROUNDS} pairs"
    return Row(name=name, value=share, unit="%", better="higher", goal=95, beside=beside, note=note)
