"""`python -m labkit.components.kube_proxy --kubeconfig=... --node-ip=...`: the service kube-proxy."""

import argparse
import asyncio
import ipaddress
import random
import signal
import socket
import sys

from labkit.client.kubeconfig import KubeconfigError
from labkit.client.rest import Client
from labkit.components.kube_proxy.balancer import Balancer
from labkit.components.kube_proxy.kernel import ModeUnsupported
from labkit.components.kube_proxy.modes import MODES, remove
from labkit.components.kube_proxy.nat import RulesFailed
from labkit.components.kube_proxy.proxy import Proxy
from labkit.components.kube_proxy.userspace import Machine
from labkit.healthz import healthz
from labkit.systemd import notify_ready

_ABOUT = """\
Makes every Service reachable at its cluster IP on this machine: opens a local port for each service port, writes the
iptables rules that lead there, and carries each connection to one of the service's endpoints, in turn.
See what it did: iptables-save -t nat | grep KUBE, and its log: journalctl -u kube-proxy -o cat."""


def main() -> None:
    """Exit 0 after SIGTERM, 2 for flags that cannot work, 3 when iptables fails."""
    flags = parse_flags(sys.argv[1:])
    if flags.cleanup:
        sys.exit(_cleanup())
    try:
        asyncio.run(serve(flags))
    except (KubeconfigError, OSError, ModeUnsupported) as exc:
        sys.exit(_complain(str(exc)))


async def serve(flags: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Client.from_kubeconfig(flags.kubeconfig) as client:
        machine = Machine(flags.bind_address, flags.node_ip)
        balancer = Balancer(chance=random.randrange if flags.balancing == "random" else None)
        name, mode = flags.hostname_override, flags.proxy_mode
        proxy = Proxy(
            client, machine, hostname=name, mode=mode, balancer=balancer, network=flags.service_cluster_ip_range
        )
        async with healthz(flags.healthz_port, lambda: proxy.trouble):
            working = asyncio.create_task(proxy.run(notify_ready))
            stopping = asyncio.create_task(stop.wait())
            ended, _ = await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (working, stopping):
                task.cancel()
            await asyncio.wait((working, stopping))
            if working in ended:
                working.result()  # it only ends by a bug


def parse_flags(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kube-proxy", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="where the API server is, and who kube-proxy is")
    parser.add_argument(
        "--bind-address", type=_address, default="0.0.0.0", metavar="IP",  # noqa: S104
        help="where the local ports listen (default 0.0.0.0); one address turns REDIRECT rules into DNAT rules to it",
    )  # fmt: skip
    parser.add_argument(
        "--node-ip", type=_address, metavar="IP",
        help="this machine's address, to which connections made on the machine itself are led (DNAT)",
    )  # fmt: skip
    parser.add_argument(
        "--proxy-mode", choices=MODES, default="userspace",
        help="who leads a connection to an endpoint: userspace, this process (the default, 0.18's only one); iptables, "
        "the kernel, by rules (since 1.1); nftables, the kernel, by maps (since 1.29). The mode before is cleaned up",
    )  # fmt: skip
    parser.add_argument(
        "--balancing", choices=["round-robin", "random"], default="round-robin",
        help="which endpoint a connection gets in userspace mode: the next in turn (the default, what 0.18 did) or any "
        "(what its documentation said)",
    )  # fmt: skip
    parser.add_argument(
        "--service-cluster-ip-range", type=_network, default="", metavar="CIDR",
        help="kube-apiserver's: an endpoint with such an address gets no connection (default: only the addresses that "
        "services have)",
    )  # fmt: skip
    parser.add_argument(
        "--hostname-override",
        default=socket.gethostname(),
        metavar="NAME",
        help="the name of this node, told in events",
    )
    parser.add_argument(
        "--healthz-port", type=int, default=10249, metavar="PORT", help="http://127.0.0.1:PORT/healthz (default 10249)"
    )
    parser.add_argument("--cleanup", action="store_true", help="remove every rule of kube-proxy and exit")
    flags = parser.parse_args(arguments)
    if not flags.cleanup:
        flags.node_ip = flags.node_ip or flags.bind_address
        if not flags.kubeconfig:
            parser.error("--kubeconfig is needed: the file that names the API server")
        if ipaddress.IPv4Address(flags.bind_address).is_loopback:
            parser.error(f"--bind-address={flags.bind_address}: cannot proxy on localhost, pods could not reach it")
        if ipaddress.IPv4Address(flags.node_ip).is_unspecified:
            parser.error("--node-ip is needed: an address of this machine, such as 10.245.1.12")
    return flags


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 address such as 10.245.1.12") from exc


def _network(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text)) if text else ""
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 network such as 10.0.0.0/16: {exc}") from exc


def _cleanup() -> int:
    try:
        found = asyncio.run(remove())
    except RulesFailed as exc:
        print(f"kube-proxy: {exc}", file=sys.stderr)
        return 3
    print("kube-proxy: rules removed" if found else "kube-proxy: no rules of kube-proxy found")
    return 0


def _complain(text: str) -> int:
    print(f"kube-proxy: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
