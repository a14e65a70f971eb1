"""The rules of the nftables mode: one look into a map finds the service, however many there are.

    nat hooks -> chain services
        ip daddr . protocol . port vmap @service-ips        10.0.0.11 . tcp . 6379 : goto service-X
        (an address of this machine) vmap @service-nodeports        tcp . 30080 : goto external-X  mark, goto service-X
    chain service-X     numgen random mod 2 vmap { 0 : goto endpoint-A, 1 : goto endpoint-B }
    chain endpoint-A    dnat to 10.244.2.7:6379
    filter hooks -> the same look into @no-endpoint-services and @no-endpoint-nodeports   goto reject-chain

Everything stands in one table of our own, `ip kube-proxy`; no chain of anybody else is touched. A rule is written
exactly as `nft list` prints it.
Source: pkg/proxy/nftables/proxier.go and README.md of Kubernetes 1.33.
"""

from collections.abc import Callable, Iterator
from typing import Any

from labkit.components.kube_proxy.balancer import AFFINITY_SECONDS, Address
from labkit.components.kube_proxy.chain_names import nft_endpoint_suffix, nft_suffix
from labkit.components.kube_proxy.rules import Rule
from labkit.components.kube_proxy.served_ports import ServedPort

SERVICE_IPS, SERVICE_NODE_PORTS = "map service-ips", "map service-nodeports"
REJECTED_IPS, REJECTED_NODE_PORTS = "map no-endpoint-services", "map no-endpoint-nodeports"
_BY_IP, _BY_PORT = "type ipv4_addr . inet_proto . inet_service : verdict", "type inet_proto . inet_service : verdict"
MAPS = {SERVICE_IPS: _BY_IP, SERVICE_NODE_PORTS: _BY_PORT, REJECTED_IPS: _BY_IP, REJECTED_NODE_PORTS: _BY_PORT}
SHARED = tuple(MAPS)

_HOOKS = {
    "nat-prerouting": "type nat hook prerouting priority dstnat; policy accept;",
    "nat-output": "type nat hook output priority -100; policy accept;",
    "nat-postrouting": "type nat hook postrouting priority srcnat; policy accept;",
    "filter-input": "type filter hook input priority -110; policy accept;",
    "filter-forward": "type filter hook forward priority -110; policy accept;",
    "filter-output": "type filter hook output priority -110; policy accept;",
}
_MARK = "0x00004000"


def frame() -> list[Rule]:
    """What stands before the first service; a chain after those that it jumps to."""
    return [
        mark(),
        *masquerade(),
        refuse(),
        look_up_service(),
        look_up_node_port(),
        look_up_rejected(),
        look_up_rejected_node_port(),
        *(hook(name) for name in _HOOKS),
        *(jump_to_services(name) for name in ("nat-prerouting", "nat-output")),
        jump_to_masquerading(),
        *(jump_to_rejects(name) for name in ("filter-input", "filter-forward", "filter-output")),
        jump_to_node_port_rejects(),
        block_localnet(),
    ]


def rules(port: ServedPort) -> Iterator[Rule]:
    """The rules, sets and map elements of one service port; each chain after those that it leads to."""
    if not port.endpoints:
        yield from (rejected(port, ip) for ip in (port.cluster_ip, *port.external_ips))
        if port.node_port:
            yield rejected_node_port(port)
        return
    suffixes = [nft_endpoint_suffix(port, endpoint) for endpoint in port.endpoints]
    for suffix, endpoint in zip(suffixes, port.endpoints, strict=True):
        if port.sticky:
            yield affinity(port, suffix)
        yield mark_hairpin(port, suffix, endpoint)
        if port.sticky:
            yield remember(port, suffix)
        yield dnat(port, suffix, endpoint)
    if port.sticky:
        yield from (known_client(port, suffix) for suffix in suffixes)
    yield choose(port, suffixes)
    if port.external_ips or port.node_port:
        yield mark_external(port)
        yield external(port)
    yield cluster_ip(port)
    yield from (external_ip(port, ip) for ip in port.external_ips)
    if port.node_port:
        yield node_port(port)


# -- the frame -----------------------------------------------------------------------------------------------------


def hook(name: str) -> Rule:
    """Where the kernel hands packets to us: nat sees only the first of a connection."""
    return Rule(f"chain {name}", _HOOKS[name], hook)


def jump_to_services(name: str) -> Rule:
    return Rule(f"chain {name}", "jump services", jump_to_services)


def jump_to_masquerading() -> Rule:
    return Rule("chain nat-postrouting", "jump masquerading", jump_to_masquerading)


def jump_to_rejects(name: str) -> Rule:
    return Rule(f"chain {name}", "ct state new jump service-endpoints-check", jump_to_rejects)


def jump_to_node_port_rejects() -> Rule:
    return Rule("chain filter-input", "ct state new jump nodeport-endpoints-check", jump_to_node_port_rejects)


def block_localnet() -> Rule:
    """Node ports on 127.0.0.1 need route_localnet, which must not open it to the neighbours (CVE-2020-8558)."""
    text = "ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 ct state invalid,new,untracked ct status ! dnat drop"
    return Rule("chain filter-input", text, block_localnet)


def look_up_service() -> Rule:
    return Rule("chain services", "ip daddr . meta l4proto . th dport vmap @service-ips", look_up_service)


def look_up_node_port() -> Rule:
    text = "fib daddr type local meta l4proto . th dport vmap @service-nodeports"
    return Rule("chain services", text, look_up_node_port)


def look_up_rejected() -> Rule:
    text = "ip daddr . meta l4proto . th dport vmap @no-endpoint-services"
    return Rule("chain service-endpoints-check", text, look_up_rejected)


def look_up_rejected_node_port() -> Rule:
    text = "fib daddr type local meta l4proto . th dport vmap @no-endpoint-nodeports"
    return Rule("chain nodeport-endpoints-check", text, look_up_rejected_node_port)


def mark() -> Rule:
    return Rule("chain mark-for-masquerade", f"meta mark set meta mark | {_MARK}", mark)


def masquerade() -> list[Rule]:
    """The endpoint answers to this machine, which knows where the connection really comes from."""
    lines = f"meta mark & {_MARK} == 0x00000000 return", f"meta mark set meta mark ^ {_MARK}", "masquerade fully-random"
    return [Rule("chain masquerading", line, masquerade) for line in lines]


def refuse() -> Rule:
    return Rule("chain reject-chain", "reject", refuse)


# -- where a service port is reached -------------------------------------------------------------------------------


def cluster_ip(port: ServedPort) -> Rule:
    return Rule(
        SERVICE_IPS, f"{_at(port, port.cluster_ip)} : goto service-{nft_suffix(port)}", cluster_ip, port.service
    )


def external_ip(port: ServedPort, ip: str) -> Rule:
    return Rule(SERVICE_IPS, f"{_at(port, ip)} : goto external-{nft_suffix(port)}", external_ip, port.service)


def node_port(port: ServedPort) -> Rule:
    return Rule(SERVICE_NODE_PORTS, f"{_at(port)} : goto external-{nft_suffix(port)}", node_port, port.service)


def rejected(port: ServedPort, ip: str) -> Rule:
    """A service without endpoints: the client hears so at once."""
    return Rule(REJECTED_IPS, f"{_at(port, ip)} : goto reject-chain", rejected, port.service)


def rejected_node_port(port: ServedPort) -> Rule:
    return Rule(REJECTED_NODE_PORTS, f"{_at(port)} : goto reject-chain", rejected_node_port, port.service)


def mark_external(port: ServedPort) -> Rule:
    """Who comes from outside, and whose answer may take another way, gets this machine's address as its source."""
    return _in(f"external-{nft_suffix(port)}", "jump mark-for-masquerade", port, mark_external)


def external(port: ServedPort) -> Rule:
    return _in(f"external-{nft_suffix(port)}", f"goto service-{nft_suffix(port)}", port, external)


# -- who serves it -------------------------------------------------------------------------------------------------


def known_client(port: ServedPort, endpoint: str) -> Rule:
    """Session affinity: an address that the endpoint's set has seen in the last three hours goes there again."""
    text = f"ip saddr @affinity-{endpoint} goto endpoint-{endpoint}"
    return _in(f"service-{nft_suffix(port)}", text, port, known_client)


def choose(port: ServedPort, endpoints: list[str]) -> Rule:
    """A number by chance, and where it leads."""
    ways = ", ".join(f"{number} : goto endpoint-{endpoint}" for number, endpoint in enumerate(endpoints))
    return _in(f"service-{nft_suffix(port)}", f"numgen random mod {len(endpoints)} vmap {{ {ways} }}", port, choose)


def affinity(port: ServedPort, endpoint: str) -> Rule:
    """The clients of an endpoint; the kernel forgets each after three hours."""
    text = f"type ipv4_addr; size 65535; flags dynamic,timeout; timeout {_duration(AFFINITY_SECONDS)}"
    return Rule(f"set affinity-{endpoint}", text, affinity, port.service)


def remember(port: ServedPort, endpoint: str) -> Rule:
    return _in(f"endpoint-{endpoint}", f"update @affinity-{endpoint} {{ ip saddr }}", port, remember)


def mark_hairpin(port: ServedPort, endpoint: str, address: Address) -> Rule:
    """A pod that reaches itself through its service: it would not take an answer from its own address."""
    return _in(f"endpoint-{endpoint}", f"ip saddr {address.ip} jump mark-for-masquerade", port, mark_hairpin)


def dnat(port: ServedPort, endpoint: str, address: Address) -> Rule:
    text = f"meta l4proto {port.protocol} dnat to {address.ip}:{address.port}"
    return _in(f"endpoint-{endpoint}", text, port, dnat)


def _duration(seconds: int) -> str:
    """`3h`, `1m30s`: as nft prints it."""
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _in(chain: str, text: str, port: ServedPort, made_by: Callable[..., Any]) -> Rule:
    return Rule(f"chain {chain}", f'{text} comment "{port.name}"', made_by, port.service)


def _at(port: ServedPort, ip: str = "") -> str:
    """The key of a map; a node port has no address."""
    key = f"{ip} . {port.protocol} . {port.port}" if ip else f"{port.protocol} . {port.node_port}"
    return f'{key} comment "{port.name}"'
