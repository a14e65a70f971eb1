"""`python -m labkit.components.kube_dns --kubeconfig=... --dns-bind-address=...`: the service kube-dns."""

import argparse
import asyncio
import ipaddress
import re
import signal
import sys

from labkit.client.kubeconfig import KubeconfigError
from labkit.client.rest import Client
from labkit.components.kube_dns.dns import Dns
from labkit.healthz import healthz
from labkit.systemd import notify_ready

_ABOUT = """\
Answers for the names of Services: NAME.NAMESPACE.svc.cluster.local and the older NAME.NAMESPACE.cluster.local, with
addresses (A), ports (SRV) and, for addresses, names (PTR). Other names are refused at once, unless --forwarders says
whom to ask (dns.forwarders in cluster.json). It counts: curl 127.0.0.1:8081/metrics on the master.
Try it: dig @10.245.1.11 redis-master.default.svc.cluster.local; its log: journalctl -u kube-dns -o cat."""


def main() -> None:
    """Exit 0 after SIGTERM, 2 for flags that cannot work."""
    flags = parse_flags(sys.argv[1:])
    try:
        asyncio.run(serve(flags))
    except KubeconfigError as exc:
        sys.exit(_complain(str(exc)))
    except OSError as exc:
        sys.exit(_complain(f"{exc}; is another DNS server running, and may this user bind port {flags.dns_port}?"))


async def serve(flags: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Client.from_kubeconfig(flags.kubeconfig) as client:
        dns = Dns(client, flags.domain, flags.forwarders)
        async with (
            healthz(flags.healthz_port, dns.trouble, metrics=dns.metrics),
            dns.server.listening(flags.dns_bind_address, flags.dns_port),
        ):
            working = asyncio.create_task(dns.run())
            telling = asyncio.create_task(_tell_ready(dns))
            stopping = asyncio.create_task(stop.wait())
            ended, _ = await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (working, telling, stopping):
                task.cancel()
            await asyncio.wait((working, telling, stopping))
            if working in ended:
                working.result()  # it only ends by a bug


async def _tell_ready(dns: Dns) -> None:
    await dns.ready.wait()
    notify_ready()


def parse_flags(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kube-dns", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kubeconfig", required=True, metavar="FILE", help="where the API server is, and who kube-dns is"
    )
    parser.add_argument(
        "--domain", type=_domain, default="cluster.local.", metavar="NAME", help="the cluster's domain (cluster.local.)"
    )
    parser.add_argument(
        "--dns-bind-address", type=_address, default="0.0.0.0", metavar="IP",  # noqa: S104
        help="where to listen, on UDP and TCP (default 0.0.0.0)",
    )  # fmt: skip
    parser.add_argument("--dns-port", type=int, default=53, metavar="PORT", help="default 53")
    parser.add_argument(
        "--healthz-port",
        type=int,
        default=8081,
        metavar="PORT",
        help="http://127.0.0.1:PORT/healthz and /metrics (default 8081)",
    )
    parser.add_argument(
        "--forwarders", type=_forwarders, default=(), metavar="IP,IP",
        help="ask these about names outside of the cluster's domain (default: nobody)",
    )  # fmt: skip
    flags = parser.parse_args(arguments)
    if flags.dns_bind_address in flags.forwarders:
        parser.error(f"--forwarders: {flags.dns_bind_address} is kube-dns itself, expected other servers")
    return flags


def _forwarders(text: str) -> tuple[str, ...]:
    found = tuple(_address(each.strip()) for each in text.split(",") if each.strip())
    for each in found:
        if (ip := ipaddress.IPv4Address(each)).is_loopback or ip.is_multicast or ip.is_unspecified:
            raise argparse.ArgumentTypeError(f"{each} is no other machine's address, expected one such as 192.168.1.1")
    return found


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 address such as 10.245.1.11") from exc


def _domain(text: str) -> str:
    if not re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+", text.rstrip(".") + "."):
        raise argparse.ArgumentTypeError(f"{text!r} is no domain such as cluster.local")
    return text.rstrip(".") + "."


def _complain(text: str) -> int:
    print(f"kube-dns: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
