"""`python -m labkit.components.kube_proxy.hollow --nodes 100`: kube-proxies of machines that are not there.

Each is a whole kube-proxy in userspace mode (proxy.py): it watches Services and Endpoints, opens a local port for each
service port and renders its rules; they end up in a nat table in memory (memory_nat.py). So the API server meets as
many watchers as in a large cluster, and each change of Endpoints goes out to all of them.

    hollow-001   127.64.0.1     an address of the loopback for each, that node ports do not collide
    hollow-002   127.64.0.2     (nobody listens to it but this machine)

Source: the hollow proxy of Kubernetes' kubemark, which came a year later.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labkit.client.flags import at_least_one, client_of
from labkit.client.pace import Pace
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.components.kube_proxy.memory_nat import MemoryNat
from labkit.components.kube_proxy.proxy import Proxy
from labkit.components.kube_proxy.userspace import Machine
from labkit.trace import Tracer


class HollowProxy(Proxy):
    """A kube-proxy whose rules are a list; of other modes there can be nothing left."""

    async def _take_over(self) -> None:
        pass


class HollowProxies:
    """So many kube-proxies on one client; `run()` works until it is cancelled."""

    def __init__(self, client: Client, nodes: Sequence[str], *, trace: Tracer | None = None) -> None:
        self.tables = {name: MemoryNat() for name in nodes}
        trace = trace or Tracer("hollow-proxy")
        pace = Pace(100.0, 200)  # of all of them
        self.proxies = {
            name: HollowProxy(client, Machine(address_of(n), address_of(n)), hostname=name, iptables=table, trace=trace)
            for n, (name, table) in enumerate(self.tables.items(), 1)
        }
        for proxy in self.proxies.values():
            proxy.events.pace = pace

    async def run(self) -> None:
        with ThreadPoolExecutor(len(self.proxies)) as threads:  # each relay has one for as long as it lives
            async with asyncio.TaskGroup() as group:
                for name, proxy in self.proxies.items():
                    proxy.threads = threads
                    group.create_task(proxy.run(), name=name)

    def count(self) -> str:
        """`100 proxies, 2400 rules`."""
        rules = sum(len(specs) for table in self.tables.values() for specs in table.chains.values())
        return f"{len(self.proxies)} proxies, {rules} rules"


def address_of(number: int) -> str:
    """Its address on the loopback; 127.0.0.0/8 is this machine, whichever of it."""
    return f"127.64.{number // 250}.{number % 250 + 1}"


def names(count: int, prefix: str) -> list[str]:
    """As hollow kubelets are called."""
    return [f"{prefix}-{number:0{max(3, len(str(count)))}}" for number in range(1, count + 1)]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hollow-proxy", description="kube-proxies whose rules lead nowhere: for clusters larger than the machine."
    )
    parser.add_argument("--kubeconfig", required=True, help="where kube-apiserver is")
    parser.add_argument("--nodes", type=at_least_one, default=100, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--prefix", default="hollow", help="what their names begin with (default %(default)s)")
    parser.add_argument(
        "--verbose", action="store_true", help="a line per decision of each, instead of one for all when it changes"
    )
    return parser


async def serve(client: Client, given: argparse.Namespace, trace: Tracer) -> None:
    """Until cancelled."""
    async with client:
        proxies = HollowProxies(client, names(given.nodes, given.prefix), trace=trace)
        async with asyncio.TaskGroup() as group:
            group.create_task(proxies.run())
            told = ""
            while True:
                await asyncio.sleep(5)
                if told != proxies.count():
                    told = proxies.count()
                    print(told, flush=True)


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    client = client_of(parser, given)
    print(f"{given.nodes} proxies begin; Ctrl-C ends them", file=sys.stderr)
    with Path(os.devnull).open("w") as nowhere:
        run_until_signal(serve(client, given, Tracer("hollow-proxy", out=None if given.verbose else nowhere)))


if __name__ == "__main__":
    main()
