"""`python -m labkit.components.kube_scheduler`: the flags and the life of kube-scheduler."""

import argparse
from pathlib import Path

from labkit.client.flags import add_leader_election, client_of, election
from labkit.client.leader import Election
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.components.kube_scheduler.algorithm import DEFAULT_PROVIDER
from labkit.components.kube_scheduler.plugins import PluginTrouble
from labkit.components.kube_scheduler.policy import PolicyError, load
from labkit.components.kube_scheduler.scheduler import DEFAULT_NAME, Scheduler
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
    parser.add_argument(
        "--algorithm-provider", choices=["DefaultProvider"], default="DefaultProvider",
        help="the predicates and priorities to use when no policy file names them (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--policy-config-file", type=Path, metavar="FILE",
        help="JSON that says which predicates and priorities count, and their weights; labkit's and those of plug-ins",
    )  # fmt: skip
    parser.add_argument(
        "--scheduler-name", default=DEFAULT_NAME, metavar="NAME",
        help="place the pods whose spec.schedulerName is this (default %(default)s: and those that name none)",
    )  # fmt: skip
    add_leader_election(parser)
    parser.add_argument("--port", type=int, default=10251, help="/healthz on 127.0.0.1 (default %(default)s)")
    return parser


async def serve(client: Client, scheduler: Scheduler, leader: Election | None, port: int) -> None:
    """Schedule until cancelled; with an election, as long as this process leads."""

    def trouble() -> str:
        return scheduler.trouble() if leader is None or leader.leads else ""

    async with client, healthz(port, trouble):
        notify_ready()
        await (leader.lead(scheduler.run) if leader else scheduler.run())


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    client = client_of(parser, given)
    try:
        algorithm = load(given.policy_config_file) if given.policy_config_file else DEFAULT_PROVIDER
    except (PolicyError, PluginTrouble) as exc:
        parser.error(f"--policy-config-file: {exc}")
    try:
        name = "kube-scheduler" if given.scheduler_name == DEFAULT_NAME else given.scheduler_name
        leader = election(client, given, name)
    except ValueError as exc:
        parser.error(str(exc))
    run_until_signal(serve(client, Scheduler(client, algorithm, name=given.scheduler_name), leader, given.port))


if __name__ == "__main__":
    main()
