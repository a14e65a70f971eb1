"""`python -m labkit.components.kube_scheduler`: the flags and the life of kube-scheduler."""

import argparse

from labkit.client.kubeconfig import KubeconfigError
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.components.kube_scheduler.scheduler import Scheduler
from labkit.healthz import healthz
from labkit.systemd import notify_ready


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kube-scheduler",
        description="Finds a node for every pod that has none: predicates say which nodes can run it, priorities which"
        " of them is best, and a Binding tells the API server.",
    )
    parser.add_argument(
        "--kubeconfig", required=True, help="where kube-apiserver is, and the certificate that says who we are"
    )
    parser.add_argument("--port", type=int, default=10251, help="/healthz on 127.0.0.1 (default %(default)s)")
    return parser


async def serve(client: Client, port: int) -> None:
    """Schedule until cancelled."""
    async with client:
        scheduler = Scheduler(client)
        async with healthz(port, scheduler.trouble):
            notify_ready()
            await scheduler.run()


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    try:
        client = Client.from_kubeconfig(given.kubeconfig)
    except KubeconfigError as exc:
        parser.error(f"--kubeconfig: {exc}")
    run_until_signal(serve(client, given.port))


if __name__ == "__main__":
    main()
