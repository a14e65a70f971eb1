"""Which function of kube-proxy made a rule that stands on a machine: the way back from the kernel to the source.

A rule carries its maker (`Rule.made_by`) only while the proxy holds it. What is read back from the kernel is known by
its chain, and a jump in a chain that is not ours by where it goes. A test holds this table against every rule that is
rendered.
"""

from collections.abc import Callable
from typing import Any

from labkit.components.kube_proxy import iptables as userspace

_CHAINS: dict[str, Callable[..., Any]] = {
    userspace.PORTALS_CONTAINER: userspace.container_portal,
    userspace.PORTALS_HOST: userspace.host_portal,
    userspace.NODEPORT_CONTAINER: userspace.container_node_port,
    userspace.NODEPORT_HOST: userspace.host_node_port,
}
_JUMPS: dict[str, Callable[..., Any]] = {
    userspace.PORTALS_CONTAINER: userspace.jump_to_portals,
    userspace.PORTALS_HOST: userspace.jump_to_portals,
    userspace.NODEPORT_CONTAINER: userspace.jump_to_node_ports,
    userspace.NODEPORT_HOST: userspace.jump_to_node_ports,
}


def maker(table: str, chain: str, rule: str) -> Callable[..., Any] | None:
    """The function that makes such rules; None for a rule that is not kube-proxy's.

    table: `nat`; chain: where the rule stands; rule: as iptables-save prints it (`-A CHAIN ... -j TARGET`).
    """
    if table != "nat":
        return None
    return _CHAINS.get(chain) or _JUMPS.get(rule.rpartition(" -j ")[2])
