"""Which addresses are services': no connection is led there, it would go in a circle, or through two proxies in a row.

    --service-cluster-ip-range=10.0.0.0/16     every address of it, whether a service has it by now or not
    cluster IPs outside of it                  those of the services that there are
    external IPs                               only with the service's port: the rest of that machine is no service

Source: the flag is kube-apiserver's (0.18: --portal-net too); kube-proxy never had it.
"""

import ipaddress
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from labkit.api.types import Endpoints
from labkit.components.kube_proxy.balancer import Address


class ServiceAddresses:
    """Told of each service; asked by any thread."""

    def __init__(self, network: str = "") -> None:
        """network: the range of cluster IPs, "" when nobody says it."""
        self.network = network
        known = ipaddress.IPv4Network(network) if network else None
        self._mask = int(known.netmask) if known else 0
        self._first = int(known.network_address) if known else 1  # no address, masked by 0, is 1
        self._of: dict[str, Sequence[str | Address]] = {}
        self._held: Counter[str | Address] = Counter()  # two services may want one for a moment

    def put(self, service: str, cluster_ip: str, external: Iterable[Address] = ()) -> set[str]:
        """What a service has from now on ("": it is gone); the addresses that are a service's, or are not, only now."""
        old = self._of.pop(service, ())
        new: list[str | Address] = [cluster_ip, *external] if cluster_ip else []
        ips = {ip for ip in (*old[:1], *new[:1]) if isinstance(ip, str)}
        before = {ip for ip in ips if ip in self}
        self._held.update(new)
        for each in old:
            self._held[each] -= 1
            if not self._held[each]:
                del self._held[each]
        if new:
            self._of[service] = new
        return before ^ {ip for ip in ips if ip in self}

    def __contains__(self, ip: object) -> bool:
        """Whether it is a cluster IP, or may become one; anything that is no IPv4 address is not."""
        return ip in self._held or (isinstance(ip, str) and self.in_range(ip))

    def in_range(self, ip: str) -> bool:
        """Whether no other machine can have it."""
        try:
            number = int.from_bytes(socket.inet_pton(socket.AF_INET, ip))  # a tenth of the price of ipaddress
        except (OSError, ValueError):
            return False
        return number & self._mask == self._first

    def leads_back(self, endpoint: Address) -> bool:
        """Whether this machine's rules would catch a connection to it again."""
        return endpoint in self._held or endpoint.ip in self


def naming(ips: Collection[str], endpoints: Mapping[str, Endpoints]) -> set[str]:
    """The keys of those Endpoints in which one of these addresses stands."""
    if not ips:
        return set()
    return {
        name
        for name, each in endpoints.items()
        if any(address.ip in ips for subset in each.subsets for address in subset.addresses)
    }
