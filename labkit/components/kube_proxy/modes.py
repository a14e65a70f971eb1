"""The three ways in which kube-proxy can do its work, by name, and how one follows another on a running machine.

    userspace   2014   KUBE-PORTALS-*                a connection is led to this process, which carries it
    iptables    2015   KUBE-SERVICES, KUBE-SVC-*     the kernel picks an endpoint, by a row of rules for each service
    nftables    2024   table ip kube-proxy           the kernel picks an endpoint, by one look into a map

Whatever mode starts writes its own rules first and then removes what the others have left, also after a crash.
"""

from collections.abc import Iterable, Mapping

from labkit.api.types import Service
from labkit.components.kube_proxy import conntrack, nat
from labkit.components.kube_proxy.iptables_table import IptablesTable
from labkit.components.kube_proxy.kernel import Firewall
from labkit.components.kube_proxy.nftables_table import NftablesTable
from labkit.components.kube_proxy.served_ports import served_ports

FIREWALLS: Mapping[str, type[Firewall]] = {"iptables": IptablesTable, "nftables": NftablesTable}
MODES = ("userspace", *FIREWALLS)


async def take_over(mode: str, services: Iterable[Service]) -> list[str]:
    """Remove what the other modes have left on this machine; which they were."""
    removed = await remove(other for other in MODES if other != mode)
    if removed and mode == "userspace":  # UDP flows that the kernel has led itself would pass by this process
        ports = [port for service in services for port in served_ports(service, None).values()]
        await conntrack.clear(conntrack.backends(ports))
    return removed


async def remove(modes: Iterable[str] = MODES) -> list[str]:
    """Take every chain, rule and jump of these modes away; those of which something was there."""
    return [
        mode for mode in modes if await (_remove_userspace() if mode == "userspace" else FIREWALLS[mode]().remove())
    ]


async def _remove_userspace() -> bool:
    iptables = nat.Iptables()
    text = nat.removal(await iptables.save())
    if text:
        await iptables.restore(text)
    return bool(text)
