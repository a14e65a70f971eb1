"""kube-controller-manager: one process, one loop per kind of work, one watch of the pods for all of them.

    replication   ReplicationController -> pods               replication.py
    endpoints     Service, pods         -> Endpoints          endpoints.py
    nodes         Node                  -> Ready=Unknown, pods deleted    node_controller.py
    namespaces    Namespace, deleted    -> all in it deleted  namespace.py
    accounts      Namespace             -> ServiceAccount default           service_accounts.py
    tokens        ServiceAccount        -> Secret with a signed token       tokens.py
    pod gc        pods that have ended  -> the oldest deleted               pod_gc.py
    quotas        ResourceQuota, pods   -> how much of it is used           quotas.py
    volumes       PersistentVolumeClaim -> bound to a PersistentVolume      volume_binder.py
    recycler      PersistentVolume, released  -> scrubbed, available again  volume_recycler.py
    garbage       owners gone or going  -> what they own deleted            garbage_collector.py

Each has an informer for what it looks at, a queue of keys, and a `sync(key)` that looks, decides and acts. They know
nothing of each other: what one writes, the other sees.
"""

import argparse
import asyncio
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from labkit.api.types import Pod, ServiceAccount
from labkit.client.flags import add_leader_election, at_least_one, client_of, election, seconds
from labkit.client.informer import Informer
from labkit.client.leader import Election
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.endpoints import EndpointsController
from labkit.components.kube_controller_manager.garbage_collector import GarbageCollector
from labkit.components.kube_controller_manager.namespace import NamespaceController
from labkit.components.kube_controller_manager.node_controller import NodeController, Timing
from labkit.components.kube_controller_manager.pod_cidrs import cluster_cidr
from labkit.components.kube_controller_manager.pod_gc import PodGc
from labkit.components.kube_controller_manager.quotas import Quotas
from labkit.components.kube_controller_manager.replication import Replication
from labkit.components.kube_controller_manager.service_accounts import ServiceAccounts
from labkit.components.kube_controller_manager.tokens import Sign, Tokens, signer
from labkit.components.kube_controller_manager.volume_binder import VolumeBinder
from labkit.components.kube_controller_manager.volume_recycler import VolumeRecycler
from labkit.healthz import healthz
from labkit.systemd import notify_ready
from labkit.trace import Tracer


class ControllerManager:
    """All controllers; `run()` works until it is cancelled."""

    def __init__(
        self,
        client: Client,
        *,
        rc_syncs: int = 5,
        endpoint_syncs: int = 5,
        namespace_syncs: int = 2,
        gc_syncs: int = 20,
        quota_period: float = 10.0,
        terminated_pods: int = 0,
        timing: Timing | None = None,
        cluster: IPv4Network | None = None,
        sign: Sign | None = None,
        root_ca: bytes = b"",
        trace: Tracer | None = None,
    ) -> None:
        """sign None: no tokens are made. terminated_pods: so many are kept, 0 for all. cluster: see NodeController."""
        trace = trace or Tracer("kube-controller-manager")
        self.pods = Informer(client, Pod, trace=trace)
        self.replication = Replication(client, self.pods, workers=rc_syncs, trace=trace)
        self.endpoints = EndpointsController(client, self.pods, workers=endpoint_syncs, trace=trace)
        self.nodes = NodeController(client, timing, cluster=cluster, trace=trace)
        self.namespaces = NamespaceController(client, workers=namespace_syncs, trace=trace)
        self.accounts = Informer(client, ServiceAccount, trace=trace)
        self.service_accounts = ServiceAccounts(client, self.accounts, self.namespaces.namespaces, trace=trace)
        self.quotas = Quotas(client, self.pods, period=quota_period, trace=trace)
        self.pod_gc = PodGc(client, self.pods, threshold=terminated_pods, trace=trace)
        self.volumes = VolumeBinder(client, trace=trace)
        self.recycler = VolumeRecycler(client, self.volumes.volumes, self.pods, trace=trace)
        self.tokens = Tokens(client, self.accounts, sign, root_ca, trace=trace) if sign else None
        known: list[Informer[Any]] = [self.pods, self.replication.controllers, self.accounts, self.quotas.quotas]
        known += [self.namespaces.namespaces, self.endpoints.services, self.endpoints.endpoints]
        known += [self.volumes.volumes, self.volumes.claims]
        self.garbage = GarbageCollector(client, known, workers=gc_syncs, trace=trace)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pods.run())
            group.create_task(self.replication.run())
            group.create_task(self.endpoints.run())
            group.create_task(self.nodes.run())
            group.create_task(self.namespaces.run())
            group.create_task(self.accounts.run())
            group.create_task(self.service_accounts.run())
            group.create_task(self.quotas.run())
            group.create_task(self.pod_gc.run())
            group.create_task(self.volumes.run())
            group.create_task(self.recycler.run())
            group.create_task(self.garbage.run())
            if self.tokens is not None:
                group.create_task(self.tokens.run())


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
    for flag, default, text in (
        ("--concurrent-rc-syncs", 5, "ReplicationControllers worked on at the same time"),
        ("--concurrent-endpoint-syncs", 5, "Services worked on at the same time"),
        ("--concurrent-namespace-syncs", 2, "namespaces emptied at the same time"),
        ("--concurrent-gc-syncs", 20, "objects that the garbage collector works on at the same time"),
        ("--deleting-pods-burst", 10, "nodes that may be emptied at once"),
    ):
        parser.add_argument(flag, type=at_least_one, default=default, metavar="N", help=f"{text} (default %(default)s)")
    for flag, default_seconds, text in (
        ("--resource-quota-sync-period", "10s", "how often what counts against quotas is counted anew"),
        ("--node-monitor-period", "5s", "how often the nodes are looked at"),
        ("--node-monitor-grace-period", "40s", "silence after which a node's Ready becomes Unknown"),
        ("--node-startup-grace-period", "60s", "the same for a node that never spoke"),
        ("--pod-eviction-timeout", "5m", "silence (this minus the grace period) after which a node's pods are deleted"),
    ):
        parser.add_argument(
            flag, type=seconds, default=default_seconds, metavar="TIME", help=f"{text} (default %(default)s)"
        )
    parser.add_argument(
        "--terminated-pod-gc-threshold", type=int, default=12500, metavar="N",
        help="how many pods that have ended are kept, the oldest are deleted; 0 keeps all (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--deleting-pods-qps", type=float, default=0.1, metavar="N",
        help="nodes that may be emptied per second after that (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--allocate-node-cidrs", action="store_true", help="give each node that has none a network for its pods"
    )
    parser.add_argument(
        "--cluster-cidr", type=network, metavar="A.B.C.D/N", help="of which they get it, a /24 each: 10.244.0.0/16"
    )
    parser.add_argument(
        "--service-account-private-key-file", default="", metavar="FILE",
        help="signs the tokens of service accounts (PEM; RSA or P-256); without it none are made",
    )  # fmt: skip
    parser.add_argument(
        "--root-ca-file", default="", metavar="FILE", help="put into the secrets of tokens: whom pods are to trust"
    )
    add_leader_election(parser)
    return parser


def network(text: str) -> IPv4Network:
    try:
        return cluster_cidr(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def timing_of(given: argparse.Namespace) -> Timing:
    return Timing(
        monitor_period=given.node_monitor_period,
        grace=given.node_monitor_grace_period,
        startup_grace=given.node_startup_grace_period,
        eviction_timeout=given.pod_eviction_timeout,
        deleting_pods_qps=given.deleting_pods_qps,
        deleting_pods_burst=given.deleting_pods_burst,
    )


def signing(given: argparse.Namespace) -> tuple[Sign | None, bytes]:
    """What signs, and the CA that goes into the secrets; ValueError naming the flag."""
    sign, ca = None, b""
    flag = "--service-account-private-key-file"
    try:
        if given.service_account_private_key_file:
            sign = signer(Path(given.service_account_private_key_file).read_bytes())
        flag = "--root-ca-file"
        if given.root_ca_file:
            ca = Path(given.root_ca_file).read_bytes()
    except (OSError, ValueError) as exc:
        raise ValueError(f"{flag}: {exc}") from exc
    return sign, ca


async def serve(
    client: Client, given: argparse.Namespace, leader: Election | None, sign: Sign | None, root_ca: bytes
) -> None:
    """Run the controllers until cancelled; with an election, as long as this process leads."""
    async with client:
        controllers = ControllerManager(
            client,
            rc_syncs=given.concurrent_rc_syncs,
            endpoint_syncs=given.concurrent_endpoint_syncs,
            namespace_syncs=given.concurrent_namespace_syncs,
            gc_syncs=given.concurrent_gc_syncs,
            quota_period=given.resource_quota_sync_period,
            terminated_pods=given.terminated_pod_gc_threshold,
            timing=timing_of(given),
            cluster=given.cluster_cidr if given.allocate_node_cidrs else None,
            sign=sign,
            root_ca=root_ca,
        )
        async with healthz(given.port, lambda: trouble(controllers, leader)):
            notify_ready()
            await (leader.lead(controllers.run) if leader else controllers.run())


def trouble(controllers: ControllerManager, leader: Election | None) -> str:
    """What /healthz complains of; who does not lead is well."""
    if leader is not None and not leader.leads:
        return ""
    return "" if controllers.pods.is_synced else "waits for kube-apiserver: the pods are not listed yet"


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    if given.allocate_node_cidrs and given.cluster_cidr is None:
        parser.error("--allocate-node-cidrs: expected --cluster-cidr as well, such as 10.244.0.0/16")
    client = client_of(parser, given)
    try:
        sign, root_ca = signing(given)
        leader = election(client, given, "kube-controller-manager")
    except ValueError as exc:
        parser.error(str(exc))
    run_until_signal(serve(client, given, leader, sign, root_ca))
