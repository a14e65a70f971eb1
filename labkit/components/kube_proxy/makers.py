"""Which function of kube-proxy made a rule that stands on a machine: the way back from the kernel to the source.

A rule carries its maker (`Rule.made_by`) only while the proxy holds it. What is read back from the kernel is known by
where it stands and by a part of its text: the first line of this table that fits. A test holds the table against every
rule that is rendered, in every mode.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from labkit.components.kube_proxy import iptables as userspace
from labkit.components.kube_proxy import iptables_rules as kernel
from labkit.components.kube_proxy import nftables_rules as nft


class _Kind(NamedTuple):
    """Rules in `table` whose chain begins with `chain`, and whose text has all of `parts`."""

    table: str
    chain: str
    parts: tuple[str, ...]
    made_by: Callable[..., Any]


NFTABLES = "kube-proxy"  # the table of the nftables mode
_MASQ = "-j KUBE-MARK-MASQ"
_KINDS = (
    _Kind("nat", userspace.PORTALS_CONTAINER, (), userspace.container_portal),
    _Kind("nat", userspace.PORTALS_HOST, (), userspace.host_portal),
    _Kind("nat", userspace.NODEPORT_CONTAINER, (), userspace.container_node_port),
    _Kind("nat", userspace.NODEPORT_HOST, (), userspace.host_node_port),
    _Kind("nat", "", ("-j KUBE-PORTALS-",), userspace.jump_to_portals),
    _Kind("nat", "", ("-j KUBE-NODEPORT-",), userspace.jump_to_node_ports),
    _Kind("nat", "KUBE-SERVICES", ("-j KUBE-NODEPORTS",), kernel.jump_to_node_ports),
    _Kind("nat", "KUBE-SERVICES", (' external IP"', _MASQ), kernel.mark_external),
    _Kind("nat", "KUBE-SERVICES", (' external IP"',), kernel.external_ip),
    _Kind("nat", "KUBE-SERVICES", (' cluster IP"',), kernel.cluster_ip),
    _Kind("nat", "KUBE-NODEPORTS", (_MASQ,), kernel.mark_node_port),
    _Kind("nat", "KUBE-NODEPORTS", (), kernel.node_port),
    _Kind("nat", "KUBE-SVC-", ("-m recent --rcheck",), kernel.known_client),
    _Kind("nat", "KUBE-SVC-", (), kernel.choose),
    _Kind("nat", "KUBE-SEP-", (_MASQ,), kernel.mark_hairpin),
    _Kind("nat", "KUBE-SEP-", (), kernel.dnat),
    _Kind("nat", "KUBE-MARK-MASQ", (), kernel.mark),
    _Kind("nat", "KUBE-POSTROUTING", (), kernel.masquerade),
    _Kind("nat", "", ("-j KUBE-SERVICES",), kernel.jump_to_services),
    _Kind("nat", "", ("-j KUBE-POSTROUTING",), kernel.jump_to_postrouting),
    _Kind("filter", "KUBE-SERVICES", ("-d ",), kernel.reject),
    _Kind("filter", "KUBE-SERVICES", (), kernel.reject_node_port),
    _Kind("filter", "KUBE-FIREWALL", (), kernel.block_localnet),
    _Kind("filter", "", ("-j KUBE-SERVICES",), kernel.jump_to_rejects),
    _Kind("filter", "", ("-j KUBE-FIREWALL",), kernel.jump_to_firewall),
    _Kind(NFTABLES, "nat-", ("jump services",), nft.jump_to_services),
    _Kind(NFTABLES, "nat-postrouting", ("jump masquerading",), nft.jump_to_masquerading),
    _Kind(NFTABLES, "filter-", ("jump service-endpoints-check",), nft.jump_to_rejects),
    _Kind(NFTABLES, "filter-", ("jump nodeport-endpoints-check",), nft.jump_to_node_port_rejects),
    _Kind(NFTABLES, "filter-input", (" drop",), nft.block_localnet),
    _Kind(NFTABLES, "services", ("@service-ips",), nft.look_up_service),
    _Kind(NFTABLES, "services", ("@service-nodeports",), nft.look_up_node_port),
    _Kind(NFTABLES, "service-endpoints-check", (), nft.look_up_rejected),
    _Kind(NFTABLES, "nodeport-endpoints-check", (), nft.look_up_rejected_node_port),
    _Kind(NFTABLES, "mark-for-masquerade", (), nft.mark),
    _Kind(NFTABLES, "masquerading", (), nft.masquerade),
    _Kind(NFTABLES, "reject-chain", (), nft.refuse),
    _Kind(NFTABLES, "service-", ("@affinity-",), nft.known_client),
    _Kind(NFTABLES, "service-", (), nft.choose),
    _Kind(NFTABLES, "external-", ("jump mark-for-masquerade",), nft.mark_external),
    _Kind(NFTABLES, "external-", (), nft.external),
    _Kind(NFTABLES, "endpoint-", ("jump mark-for-masquerade",), nft.mark_hairpin),
    _Kind(NFTABLES, "endpoint-", ("update @affinity-",), nft.remember),
    _Kind(NFTABLES, "endpoint-", (), nft.dnat),
    _Kind(NFTABLES, "map service-ips", (": goto external-",), nft.external_ip),
    _Kind(NFTABLES, "map service-ips", (), nft.cluster_ip),
    _Kind(NFTABLES, "map service-nodeports", (), nft.node_port),
    _Kind(NFTABLES, "map no-endpoint-services", (), nft.rejected),
    _Kind(NFTABLES, "map no-endpoint-nodeports", (), nft.rejected_node_port),
    _Kind(NFTABLES, "set affinity-", (), nft.affinity),
    _Kind(NFTABLES, "", ("type ", " hook "), nft.hook),
)


def maker(table: str, chain: str, rule: str) -> Callable[..., Any] | None:
    """The function that makes such rules; None for a rule that is not kube-proxy's.

    table: `nat`; chain: where the rule stands, `map NAME` for an element of a map; rule: as iptables-save prints it
    (`-A CHAIN ... -j TARGET`), or nft.
    """
    for kind in _KINDS:
        if kind.table == table and chain.startswith(kind.chain) and all(part in rule for part in kind.parts):
            return kind.made_by
    return None
