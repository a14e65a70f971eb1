"""Are the rules of a machine those of the cluster? A service port leads where the Endpoints say, and nowhere else.

userspace     KUBE-PORTALS-CONTAINER and -HOST name each service port; its endpoints are kube-proxy's own affair
iptables      KUBE-SEP-...  -m comment --comment "default/web:" ... -j DNAT --to-destination 10.244.2.7:80
nftables      chain service-HASH-default/web/tcp/ { ... goto endpoint-HASH-default/web/tcp/__10.244.2.7/80 }
"""

import re
from collections.abc import Iterable, Iterator

from labkit.api.services import cluster_ip
from labkit.api.types import Endpoints, Service, key

Ends = dict[str, set[str]]
"""Service port, as `default/web:http`, to where it leads: `10.244.2.7:80`."""

COMMANDS = {
    "userspace": "iptables-save -t nat",
    "iptables": "iptables-save -t nat",
    "nftables": "nft list table ip kube-proxy",
}
_PORTAL = re.compile(r'-A (KUBE-PORTALS-\w+) .*--comment "?([^" ]+)"? ')
_DNAT = re.compile(r'-A KUBE-SEP-\w+ .*--comment "?([^" ]+)"? .*-j DNAT --to-destination (\S+)')
_GOTO = re.compile(r"goto endpoint-\w+-([^/]+/[^/]+)/\w+/(\S*?)__([\d.]+)/(\d+)")


def wrong(mode: str, services: Iterable[Service], endpoints: Iterable[Endpoints], saved: str) -> Iterator[str]:
    """What is not as it should be, one line each. saved: what COMMANDS[mode] printed on the machine."""
    wanted = wanted_ends(services, endpoints)
    if mode == "userspace":
        for chain in ("KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST"):
            named = {name for of, name in _PORTAL.findall(saved) if of == chain}
            yield from (f"{chain} has no rule for {name}" for name in sorted(wanted.keys() - named))
            yield from (f"{chain} still has a rule for {name}" for name in sorted(named - wanted.keys()))
        return
    there = led_by_iptables(saved) if mode == "iptables" else led_by_nftables(saved)
    for name in sorted(wanted.keys() | there.keys()):
        ends, found = wanted.get(name, set()), there.get(name, set())
        if ends != found:
            yield f"the rules lead {name} to {sorted(found)}, its endpoints are {sorted(ends)}"


def wanted_ends(services: Iterable[Service], endpoints: Iterable[Endpoints]) -> Ends:
    """Where each service port should lead. Endpoints on a loopback are left out, as kube-proxy does."""
    by_key = {key(each): each for each in endpoints}
    found: Ends = {}
    for service in services:
        if not cluster_ip(service):
            continue
        subsets = by_key[key(service)].subsets if key(service) in by_key else []
        for port in service.spec.ports:
            found[f"{key(service)}:{port.name}"] = {
                f"{address.ip}:{end.port}" for part in subsets for end in part.ports if end.name == port.name
                for address in part.addresses if not address.ip.startswith("127.")
            }  # fmt: skip
    return found


def led_by_iptables(saved: str) -> Ends:
    found: Ends = {}
    for name, end in _DNAT.findall(saved):
        found.setdefault(name, set()).add(end)
    return found


def led_by_nftables(listed: str) -> Ends:
    found: Ends = {}
    for service, port, ip, number in _GOTO.findall(listed):
        found.setdefault(f"{service}:{port}", set()).add(f"{ip}:{number}")
    return found
