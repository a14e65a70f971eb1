"""The rules of the iptables mode: the kernel itself chooses an endpoint and sends the connection there.

    nat PREROUTING, OUTPUT
      -> KUBE-SERVICES   -d 10.0.0.11/32 --dport 6379 -> KUBE-SVC-X   --probability 0.5 -> KUBE-SEP-A   -j DNAT
                         external IP: mark, then the same             otherwise         -> KUBE-SEP-B   -j DNAT
         last            -> KUBE-NODEPORTS --dport 30080: mark, then KUBE-SVC-X
    nat POSTROUTING -> KUBE-POSTROUTING   marked: MASQUERADE, so that the answer comes back through this machine
    filter INPUT, FORWARD, OUTPUT -> KUBE-SERVICES   no endpoints: REJECT

A rule is written exactly as iptables-save prints it. Each service costs one more rule that every new connection to a
later one must pass: what the nftables mode does in one look into a map.
Source: syncProxyRules in pkg/proxy/iptables/proxier.go of Kubernetes 1.1 and 1.2.
"""

from collections.abc import Iterator
from functools import cache

from labkit.components.kube_proxy.balancer import AFFINITY_SECONDS, Address
from labkit.components.kube_proxy.chain_names import endpoint_chain, service_chain
from labkit.components.kube_proxy.rules import Rule
from labkit.components.kube_proxy.served_ports import ServedPort

SERVICES, NODE_PORTS, REJECTS = "nat KUBE-SERVICES", "nat KUBE-NODEPORTS", "filter KUBE-SERVICES"
MARK_MASQ, POSTROUTING, FIREWALL = "nat KUBE-MARK-MASQ", "nat KUBE-POSTROUTING", "filter KUBE-FIREWALL"
BUILTINS = (
    "nat PREROUTING", "nat OUTPUT", "nat POSTROUTING", "filter INPUT", "filter FORWARD", "filter OUTPUT"
)  # fmt: skip
SHARED = (SERVICES, NODE_PORTS, REJECTS, *BUILTINS)
FRAME = (*SHARED, MARK_MASQ, POSTROUTING, FIREWALL)

MASQUERADE_MARK = "0x4000/0x4000"
_CHOICES = 1 << 31  # what the kernel's statistic match counts in


def frame() -> list[Rule]:
    """What stands before the first service."""
    return [
        *(jump_to_services(chain) for chain in ("nat PREROUTING", "nat OUTPUT")),
        jump_to_postrouting(),
        *(jump_to_rejects(chain) for chain in ("filter INPUT", "filter FORWARD", "filter OUTPUT")),
        jump_to_firewall(),
        jump_to_node_ports(),
        mark(),
        masquerade(),
        block_localnet(),
    ]


def rules(port: ServedPort) -> Iterator[Rule]:
    """The rules of one service port; each chain after those that it jumps to."""
    if not port.endpoints:
        yield from (reject(port, ip) for ip in (port.cluster_ip, *port.external_ips))
        if port.node_port:
            yield reject_node_port(port)
        return
    chain = service_chain(port)
    chains = [endpoint_chain(port, endpoint) for endpoint in port.endpoints]
    for name, endpoint in zip(chains, port.endpoints, strict=True):
        yield mark_hairpin(port, name, endpoint)
        yield dnat(port, name, endpoint)
    if port.sticky:
        yield from (known_client(port, chain, name) for name in chains)
    yield from (choose(port, chain, name, len(chains) - number) for number, name in enumerate(chains))
    yield cluster_ip(port, chain)
    for ip in port.external_ips:
        yield mark_external(port, ip)
        yield external_ip(port, ip, chain)
    if port.node_port:
        yield mark_node_port(port)
        yield node_port(port, chain)


# -- the frame -----------------------------------------------------------------------------------------------------


def jump_to_services(builtin: str) -> Rule:
    """The way from a built-in chain to the services: its first rule."""
    text = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    return Rule(builtin, text, jump_to_services)


def jump_to_postrouting() -> Rule:
    text = '-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'
    return Rule("nat POSTROUTING", text, jump_to_postrouting)


def jump_to_rejects(builtin: str) -> Rule:
    """Only the first packet of a connection may be refused: the others need not look."""
    text = '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    return Rule(builtin, text, jump_to_rejects)


def jump_to_firewall() -> Rule:
    return Rule("filter INPUT", "-j KUBE-FIREWALL", jump_to_firewall)


def jump_to_node_ports() -> Rule:
    """The last rule of KUBE-SERVICES, for packets to an address of this machine."""
    note = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
    text = f'-m comment --comment "{note}" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'
    return Rule(SERVICES, text, jump_to_node_ports)


def mark() -> Rule:
    return Rule(MARK_MASQ, f"-j MARK --set-xmark {MASQUERADE_MARK}", mark)


def masquerade() -> Rule:
    """The endpoint answers to this machine, which knows where the connection really comes from."""
    comment = '-m comment --comment "kubernetes service traffic requiring SNAT"'
    return Rule(POSTROUTING, f"{comment} -m mark --mark {MASQUERADE_MARK} -j MASQUERADE", masquerade)


def block_localnet() -> Rule:
    """Node ports on 127.0.0.1 need route_localnet, which must not open it to the neighbours (CVE-2020-8558)."""
    comment = '-m comment --comment "block incoming localnet connections"'
    known = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"
    return Rule(FIREWALL, f"! -s 127.0.0.0/8 -d 127.0.0.0/8 {comment} {known} -j DROP", block_localnet)


# -- where a service port is reached -------------------------------------------------------------------------------


def cluster_ip(port: ServedPort, chain: str) -> Rule:
    return Rule(SERVICES, f"{_to(port, port.cluster_ip, 'cluster IP')} -j {chain}", cluster_ip, port.service)


def mark_external(port: ServedPort, ip: str) -> Rule:
    """Who comes from outside, and whose answer may take another way, gets this machine's address as its source."""
    return Rule(SERVICES, f"{_to(port, ip, 'external IP')} -j KUBE-MARK-MASQ", mark_external, port.service)


def external_ip(port: ServedPort, ip: str, chain: str) -> Rule:
    return Rule(SERVICES, f"{_to(port, ip, 'external IP')} -j {chain}", external_ip, port.service)


def mark_node_port(port: ServedPort) -> Rule:
    return Rule(NODE_PORTS, f"{_node_port(port, '')} -j KUBE-MARK-MASQ", mark_node_port, port.service)


def node_port(port: ServedPort, chain: str) -> Rule:
    return Rule(NODE_PORTS, f"{_node_port(port, '')} -j {chain}", node_port, port.service)


def reject(port: ServedPort, ip: str) -> Rule:
    """A service without endpoints: the client hears so at once."""
    text = f"{_to(port, ip, 'has no endpoints')} -j REJECT --reject-with icmp-port-unreachable"
    return Rule(REJECTS, text, reject, port.service)


def reject_node_port(port: ServedPort) -> Rule:
    local = " has no endpoints", " -m addrtype --dst-type LOCAL"
    text = f"{_node_port(port, *local)} -j REJECT --reject-with icmp-port-unreachable"
    return Rule(REJECTS, text, reject_node_port, port.service)


# -- who serves it -------------------------------------------------------------------------------------------------


def known_client(port: ServedPort, chain: str, endpoint: str) -> Rule:
    """Session affinity: an address that the endpoint's list has seen in the last three hours goes there again."""
    recent = (
        f"-m recent --rcheck --seconds {AFFINITY_SECONDS} --reap --name {endpoint} --mask 255.255.255.255 --rsource"
    )
    return Rule(f"nat {chain}", f"{_comment(port)} {recent} -j {endpoint}", known_client, port.service)


def choose(port: ServedPort, chain: str, endpoint: str, left: int) -> Rule:
    """One of `left` endpoints by chance: the first of 3 with 1/3, the first of the other 2 with 1/2, then the last."""
    chance = f"-m statistic --mode random --probability {_probability(left)} " if left > 1 else ""
    return Rule(f"nat {chain}", f"{_comment(port)} {chance}-j {endpoint}", choose, port.service)


def mark_hairpin(port: ServedPort, chain: str, endpoint: Address) -> Rule:
    """A pod that reaches itself through its service: it would not take an answer from its own address."""
    return Rule(f"nat {chain}", f"-s {endpoint.ip}/32 {_comment(port)} -j KUBE-MARK-MASQ", mark_hairpin, port.service)


def dnat(port: ServedPort, chain: str, endpoint: Address) -> Rule:
    """The destination becomes the endpoint; with session affinity, the client is put on the endpoint's list first."""
    remember = f" -m recent --set --name {chain} --mask 255.255.255.255 --rsource" if port.sticky else ""
    match = f"-p {port.protocol} {_comment(port)}{remember} -m {port.protocol}"
    return Rule(f"nat {chain}", f"{match} -j DNAT --to-destination {endpoint.ip}:{endpoint.port}", dnat, port.service)


def _to(port: ServedPort, ip: str, what: str) -> str:
    comment = f'-m comment --comment "{port.name} {what}"'
    return f"-d {ip}/32 -p {port.protocol} {comment} -m {port.protocol} --dport {port.port}"


def _node_port(port: ServedPort, what: str, more: str = "") -> str:
    comment = f'-m comment --comment "{port.name}{what}"'
    return f"-p {port.protocol} {comment}{more} -m {port.protocol} --dport {port.node_port}"


def _comment(port: ServedPort) -> str:
    return f'-m comment --comment "{port.name}"'


@cache
def _probability(left: int) -> str:
    return f"{round(_CHOICES / left) / _CHOICES:.11f}"
