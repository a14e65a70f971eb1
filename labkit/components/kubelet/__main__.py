"""`python -m labkit.components.kubelet`: the flags and the life of the kubelet."""

import argparse
import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

from labkit import tls
from labkit.client.kubeconfig import KubeconfigError
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.components.kubelet import lean, machine  # noqa: F401 - lean before docker-py
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.garbage import Keeping
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.resolver import parse_resolv_conf
from labkit.components.kubelet.server import serving, tls_context
from labkit.components.kubelet.settings import Settings
from labkit.healthz import healthz
from labkit.systemd import notify_ready


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubelet",
        description="Runs the pods that the scheduler put on this node: each is a group of docker containers around a"
        " pause container that holds its address. Reports their status and the node's to kube-apiserver. The pods run"
        " on when the kubelet ends, and it recognises them when it comes back.",
    )
    flag = parser.add_argument
    flag("--kubeconfig", required=True, help="where kube-apiserver is, and the certificate that says who we are")
    flag("--hostname-override", required=True, metavar="NODE", help="the name of this node's object")
    flag("--address", default="127.0.0.1", help="this machine's address: told to others, and listened on")
    flag("--port", type=int, default=10250, help="logs and pods for kube-apiserver, over TLS (default %(default)s)")
    flag("--read-only-port", type=int, default=0, metavar="PORT", help="pods and figures for everybody, without TLS, as"
         " the kubelet of 2015 had it on 10255; 0 for none (default %(default)s)")  # fmt: skip
    flag("--healthz-port", type=int, default=10248, help="/healthz on 127.0.0.1 (default %(default)s)")
    flag("--tls-cert-file", required=True, help="the certificate of our server on --port")
    flag("--tls-private-key-file", required=True, help="its key")
    flag("--client-ca-file", required=True, help="the CA that kube-apiserver's client certificate must be from")
    tls.flags(parser)
    flag("--cluster-dns", default="10.0.0.10", help='nameserver of the pods; "" gives them the machine\'s')
    flag("--cluster-domain", default="cluster.local", help="domain of the pods' search list (default %(default)s)")
    flag("--resolv-conf", default="/etc/resolv.conf", help="the machine's resolver, for pods with dnsPolicy Default")
    flag("--pod-infra-container-image", default="pause", help="image of the pause container (default %(default)s)")
    flag("--registry-mirror", default="", metavar="URL|none", help="from where docker, by its daemon.json, gets"
         " images of Docker Hub; with it no other public registry is asked, and a pull that fails says what is to be"
         " done")  # fmt: skip
    flag("--root-dir", default="/var/lib/kubelet", help="where volumes of pods are kept (default %(default)s)")
    flag("--config", type=Path, metavar="FILE|DIRECTORY", help="manifests of static pods, which run without API server")
    flag("--file-check-frequency", type=float, default=20.0, metavar="SECONDS",
         help="how often --config is read (default %(default)s)")  # fmt: skip
    flag("--manifest-url", default="", metavar="URL", help="where more of them are told")
    flag("--http-check-frequency", type=float, default=20.0, metavar="SECONDS",
         help="how often --manifest-url is read (default %(default)s)")  # fmt: skip
    flag("--docker-endpoint", default="unix:///var/run/docker.sock", help="docker's socket (default %(default)s)")
    flag("--minimum-container-ttl-duration", type=float, default=60.0, metavar="SECONDS",
         help="how long an ended container is left alone (default %(default)s)")  # fmt: skip
    flag("--maximum-dead-containers-per-container", type=int, default=2, metavar="N",
         help="how many ended ones of each container are kept (default %(default)s)")  # fmt: skip
    flag("--maximum-dead-containers", type=int, default=100, metavar="N",
         help="how many ended containers are kept in all, -1 for no bound (default %(default)s)")  # fmt: skip
    flag("--image-gc-high-threshold", type=percent, default=90, metavar="PERCENT",
         help="images that nobody uses are removed when docker's disk is so full (default %(default)s)")  # fmt: skip
    flag("--image-gc-low-threshold", type=percent, default=80, metavar="PERCENT",
         help="and until it is no fuller than this (default %(default)s)")  # fmt: skip
    flag("--low-diskspace-threshold-mb", type=int, default=256, metavar="MB",
         help="with less disk space than this no pod is started (default %(default)s)")  # fmt: skip
    flag("--disk-allowance-mb", type=int, default=0, metavar="MB", help="what a container may write outside its volumes"
         " and an emptyDir may hold, where the pod says nothing; 0 for no bound (default %(default)s)")  # fmt: skip
    flag("--node-status-update-frequency", type=float, default=10.0, metavar="SECONDS",
         help="how often the node says that it is alive (default %(default)s)")  # fmt: skip
    flag("--housekeeping-interval", type=float, default=10.0, metavar="SECONDS",
         help="how often usage of CPU and memory is read, for kubectl top (default %(default)s)")  # fmt: skip
    flag("--sync-frequency", type=float, default=45.0, metavar="SECONDS",
         help="how often the files of running pods are brought up to date with their secrets and config maps"
         " (default %(default)s)")  # fmt: skip
    flag("--pod-cidr", default="", metavar="A.B.C.D/N",
         help="the network of this machine's pods, as docker's bridge has it: told as the node's podCIDR")  # fmt: skip
    flag("--node-labels", type=labels, default={}, metavar="A=B,C=D", help="labels of the node, for nodeSelector")
    flag("--max-pods", type=int, default=100, help="how many pods the node offers to run (default %(default)s)")
    flag("--pod-max-pids", type=int, default=-1, metavar="N", help="how many processes and threads each container of a"
         " pod may have: one that forks without end hurts only itself; -1 for no bound (default)")  # fmt: skip
    flag("--allow-privileged", type=truth, default=False, metavar="true|false",
         help="run containers that ask for every right on this machine (default false)")  # fmt: skip
    flag("--loop", choices=("uvloop", "asyncio"), default="uvloop", help="the event loop (default %(default)s)")
    return parser


def labels(text: str) -> dict[str, str]:
    """`a=b,c=d`."""
    result = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise argparse.ArgumentTypeError(f"{pair!r} is not of the form name=value")
        result[name] = value
    return result


def percent(text: str) -> int:
    if not text.isdigit() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100")
    return int(text)


def truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def settings_of(given: argparse.Namespace) -> Settings:
    """OSError when the machine's resolv.conf cannot be read."""
    if given.config is not None and not given.config.suffix:  # else it is a file
        given.config.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Settings(
        node=given.hostname_override,
        address=given.address,
        port=given.port,
        cluster_dns=given.cluster_dns,
        cluster_domain=given.cluster_domain,
        pause_image=given.pod_infra_container_image,
        registry_mirror=given.registry_mirror,
        root_dir=Path(given.root_dir),
        labels=given.node_labels,
        pod_cidr=given.pod_cidr,
        machine_resolver=parse_resolv_conf(Path(given.resolv_conf).read_text()),
        allow_privileged=given.allow_privileged,
        capabilities_missing=machine.inspect().capabilities_missing,
        max_pods=given.max_pods,
        pod_max_pids=max(0, given.pod_max_pids),
        node_status_seconds=given.node_status_update_frequency,
        keeping=Keeping(
            youngest=given.minimum_container_ttl_duration,
            of_name=given.maximum_dead_containers_per_container,
            in_all=given.maximum_dead_containers,
            high=given.image_gc_high_threshold,
            low=given.image_gc_low_threshold,
        ),
        low_disk_bytes=given.low_diskspace_threshold_mb << 20,
        disk_allowance=given.disk_allowance_mb << 20,
        manifests=given.config,
        manifest_url=given.manifest_url,
        file_check_seconds=given.file_check_frequency,
        http_check_seconds=given.http_check_frequency,
        housekeeping_seconds=given.housekeeping_interval,
        sync_seconds=given.sync_frequency,
    )


async def serve(client: Client, settings: Settings, given: argparse.Namespace, context: ssl.SSLContext) -> None:
    """Run the node's pods until cancelled."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client)
        docker = Docker(given.docker_endpoint, settings.node)
        stack.push_async_callback(docker.close)
        kubelet = Kubelet(client, docker, settings)
        await stack.enter_async_context(healthz(given.healthz_port, kubelet.trouble))
        await stack.enter_async_context(serving(kubelet, settings.address, settings.port, context))
        if given.read_only_port:
            await stack.enter_async_context(serving(kubelet, settings.address, given.read_only_port, None))
        notify_ready()
        await kubelet.run()


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    try:
        client = Client.from_kubeconfig(given.kubeconfig)
        settings = settings_of(given)
        context = tls_context(
            given.tls_cert_file, given.tls_private_key_file, given.client_ca_file,
            given.tls_min_version, given.tls_cipher_suites,
        )  # fmt: skip
    except KubeconfigError as exc:
        parser.error(f"--kubeconfig: {exc}")
    except (OSError, ssl.SSLError) as exc:
        parser.error(f"a file of the flags cannot be used: {exc}")
    if given.loop == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_until_signal(serve(client, settings, given, context))


if __name__ == "__main__":
    main()
