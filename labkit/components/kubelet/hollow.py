"""`python -m labkit.components.kubelet.hollow --nodes 100`: nodes on machines that are not there, all in one process.

Each is a whole kubelet (kubelet.py) on the runtime that runs nothing (fake.py, docker's twin by contract), so that
scheduler, controllers and API server meet a large cluster on a laptop:

    hollow-001 ... hollow-100      nodes with the label labkit/hollow=true; their pods are Running, and have addresses
                                   that lead nowhere (100.64.0.0/10); there are no logs, and nothing to exec into

All share one connection pool, one watch of the services and one pace of events; each watches its own pods, as on a
machine. At the end the
nodes are removed, and their pods are deleted by whoever looks after pods of nodes that are gone.
Source: Kubernetes' kubemark, which came a year later.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from labkit.api.errors import ApiError, NotFound
from labkit.api.types import Node, Service
from labkit.client.flags import at_least_one, client_of, seconds
from labkit.client.informer import Informer
from labkit.client.pace import Pace
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.fake_mounts import FakeMounts
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.settings import Settings
from labkit.trace import Tracer

LABEL = "labkit/hollow"
EVENTS_PER_SECOND, EVENTS_AT_ONCE = 100.0, 200  # of all of them
AT_ONCE = 20  # nodes that register, or are removed, at a time
REQUESTS_AT_ONCE = 32  # of all of them: more would only wait at the API server, each on a connection of its own


def names(count: int, prefix: str = "hollow") -> list[str]:
    """`hollow-001`, ...: as many digits as the last one needs, at least three."""
    digits = max(3, len(str(count)))
    return [f"{prefix}-{number:0{digits}}" for number in range(1, count + 1)]


class HollowNodes:
    """So many kubelets on one client; `run()` works until it is cancelled, and then removes their nodes."""

    def __init__(
        self, client: Client, nodes: Iterable[str], root: Path, *,
        start_seconds: float = 0.5, status_seconds: float = 10.0, max_pods: int = 100, trace: Tracer | None = None,
    ) -> None:  # fmt: skip
        """root: a directory for the files of volumes. start_seconds: what it takes a container to start."""
        self.client = client
        trace = trace or Tracer("hollow-kubelet")
        self.services = Informer(client, Service, trace=trace)
        self.kubelets = {
            name: Kubelet(
                client,
                FakeRuntime(name, network=network_of(number), start_seconds=start_seconds),
                Settings(
                    node=name, root_dir=root / name, labels={LABEL: "true"}, node_status_seconds=status_seconds,
                    max_pods=max_pods,
                ),
                mounts=FakeMounts(),
                services=self.services,
                trace=trace,
            )
            for number, name in enumerate(nodes)
        }  # fmt: skip
        pace = Pace(EVENTS_PER_SECOND, EVENTS_AT_ONCE)
        for kubelet in self.kubelets.values():
            kubelet.recorder.pace = pace

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.services.run())
                for number, (name, kubelet) in enumerate(self.kubelets.items()):
                    group.create_task(kubelet.run(), name=name)
                    if number % AT_ONCE == AT_ONCE - 1:  # the API server has others to answer
                        await asyncio.sleep(0.1)
        finally:
            await self._remove()

    async def _remove(self) -> None:
        turns = asyncio.Semaphore(AT_ONCE)

        async def remove(name: str) -> None:
            async with turns:
                with contextlib.suppress(NotFound):
                    await self.client.delete(Node, name)

        with contextlib.suppress(ApiError, TimeoutError):  # who cannot be told finds them silent
            async with asyncio.timeout(30):
                await asyncio.gather(*(remove(name) for name in self.kubelets))

    def count(self) -> str:
        """`100 nodes, 2000 pods of which 1990 run`."""
        pods = [pod for kubelet in self.kubelets.values() for pod in kubelet.pods.store.values()]
        running = sum(pod.status.phase == "Running" for pod in pods)
        return f"{len(self.kubelets)} nodes, {len(pods)} pods of which {running} run"


def network_of(number: int) -> str:
    """The first three numbers of the addresses of a node's pods; 100.64.0.0/10 belongs to nobody here."""
    return f"100.{64 + number // 256}.{number % 256}"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hollow-kubelet",
        description="Nodes that run nothing, each a whole kubelet: for clusters larger than the machine.",
    )
    parser.add_argument("--kubeconfig", required=True, help="where kube-apiserver is; who may act for all the nodes")
    parser.add_argument(
        "--nodes", type=at_least_one, default=100, metavar="N", help="how many nodes (default %(default)s)"
    )
    parser.add_argument("--prefix", default="hollow", help="what their names begin with (default %(default)s)")
    parser.add_argument(
        "--start-time", type=seconds, default="500ms", metavar="TIME",
        help="what it takes a container to start (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--node-status-update-frequency", type=seconds, default="10s", metavar="TIME",
        help="how often each node says that it is well (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-pods", type=at_least_one, default=100, metavar="N", help="pods of each node (default %(default)s)"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="a line per decision of each kubelet, instead of one in 5 s for all"
    )
    return parser


async def serve(client: Client, given: argparse.Namespace, trace: Tracer) -> None:
    """Until cancelled."""
    with tempfile.TemporaryDirectory(prefix="labkit-hollow-") as root:
        async with client:
            nodes = HollowNodes(
                client, names(given.nodes, given.prefix), Path(root), start_seconds=given.start_time,
                status_seconds=given.node_status_update_frequency, max_pods=given.max_pods, trace=trace,
            )  # fmt: skip
            async with asyncio.TaskGroup() as group:
                group.create_task(nodes.run())
                while True:
                    await asyncio.sleep(5)
                    print(nodes.count(), flush=True)


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    client = client_of(parser, given, at_once=REQUESTS_AT_ONCE)
    print(f"{given.nodes} nodes begin; Ctrl-C ends them and removes them", file=sys.stderr)
    with Path(os.devnull).open("w") as nowhere:
        trace = Tracer("hollow-kubelet", out=None if given.verbose else nowhere)
        run_until_signal(serve(client, given, trace))


if __name__ == "__main__":
    main()
