"""kube-controller-manager: one process, one loop per kind of work, one watch of the pods for all of them.

    replication   ReplicationController -> pods               replication.py
    endpoints     Service, pods         -> Endpoints          endpoints.py

Each has an informer for what it looks at, a queue of keys, and a `sync(key)` that looks, decides and acts. They know
nothing of each other: what one writes, the other sees.
"""

import argparse
import asyncio

from labkit.api.types import Pod
from labkit.client.informer import Informer
from labkit.client.kubeconfig import KubeconfigError
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.endpoints import EndpointsController
from labkit.components.kube_controller_manager.replication import Replication
from labkit.healthz import healthz
from labkit.systemd import notify_ready
from labkit.trace import Tracer


class ControllerManager:
    """All controllers; `run()` works until it is cancelled."""

    def __init__(
        self, client: Client, *, rc_syncs: int = 5, endpoint_syncs: int = 5, trace: Tracer | None = None
    ) -> None:
        trace = trace or Tracer("kube-controller-manager")
        self.pods = Informer(client, Pod, trace=trace)
        self.replication = Replication(client, self.pods, workers=rc_syncs, trace=trace)
        self.endpoints = EndpointsController(client, self.pods, workers=endpoint_syncs, trace=trace)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pods.run())
            group.create_task(self.replication.run())
            group.create_task(self.endpoints.run())


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kube-controller-manager",
        description="Keeps the cluster as its objects say: as many pods as each ReplicationController wants, and behind"
        " each Service the addresses of its pods.",
    )
    parser.add_argument(
        "--kubeconfig", required=True, help="where kube-apiserver is, and the certificate that says who we are"
    )
    parser.add_argument("--port", type=int, default=10252, help="/healthz on 127.0.0.1 (default %(default)s)")
    parser.add_argument(
        "--concurrent-rc-syncs", type=int, default=5, metavar="N",
        help="ReplicationControllers worked on at the same time (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--concurrent-endpoint-syncs", type=int, default=5, metavar="N",
        help="Services worked on at the same time (default %(default)s)",
    )  # fmt: skip
    return parser


async def serve(client: Client, given: argparse.Namespace) -> None:
    """Run the controllers until cancelled."""
    async with client:
        controllers = ControllerManager(
            client, rc_syncs=given.concurrent_rc_syncs, endpoint_syncs=given.concurrent_endpoint_syncs
        )
        async with healthz(given.port, lambda: trouble(controllers)):
            notify_ready()
            await controllers.run()


def trouble(controllers: ControllerManager) -> str:
    """What /healthz complains of."""
    return "" if controllers.pods.resource_version else "waits for kube-apiserver: the pods are not listed yet"


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    for flag in ("concurrent_rc_syncs", "concurrent_endpoint_syncs"):
        if getattr(given, flag) < 1:
            parser.error(f"--{flag.replace('_', '-')}: expected a number of 1 or more")
    try:
        client = Client.from_kubeconfig(given.kubeconfig)
    except KubeconfigError as exc:
        parser.error(f"--kubeconfig: {exc}")
    run_until_signal(serve(client, given))
