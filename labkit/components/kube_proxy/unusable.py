"""Endpoints that no mode leads a connection to: somebody who wrote them by hand is told, on the Service.

Endpoints default/db, 127.0.0.1:5432   each machine's own loopback, where private things listen
Endpoints default/db, 10.0.0.12:80     a service's address: a circle of connections, or two proxies in a row
Endpoints default/db, 10.0.99.1:80     of the service range, whether a service has it yet or not

Looked at when either side changes: Endpoints may be there before their Service, and before the service whose address
they name.
"""

from collections.abc import Callable, Mapping

from labkit.api.services import cluster_ip
from labkit.api.types import Endpoints, Service, key
from labkit.components.kube_proxy.balancer import usable
from labkit.components.kube_proxy.service_addresses import ServiceAddresses, naming
from labkit.trace import Tracer

TOLD_ADDRESSES = 5  # in one event


class Unusable:
    """Says so once for each such set of addresses. network: the range of cluster IPs, "" when nobody says it."""

    def __init__(self, trace: Tracer, event: Callable[[Service, str, str], None], network: str = "") -> None:
        self._trace = trace
        self._event = event
        self._services = ServiceAddresses(network)
        self._moved: set[str] = set()  # addresses outside of the range that a service has got, or has given up
        self._changed: set[str] = set()
        self._said: dict[str, str] = {}

    def endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        """To be looked at when services are known too."""
        changed = new or old
        assert changed is not None
        self._changed.add(key(changed))

    def service_changed(self, old: Service | None, new: Service | None) -> None:
        """To be looked at, with whoever has its address as an endpoint, when endpoints are known too."""
        changed = new or old
        assert changed is not None
        self._moved |= self._services.put(key(changed), cluster_ip(new))
        self._changed.add(key(changed))

    def tell(self, services: Mapping[str, Service], endpoints: Mapping[str, Endpoints]) -> None:
        """Look at those that changed since the last time."""
        changed, self._changed = self._changed | naming(self._moved, endpoints), set()
        self._moved.clear()
        for name in changed:
            service = services.get(name)  # without one nobody is led anywhere: there is time to tell
            trouble = self._trouble(endpoints[name]) if service and name in endpoints else ""
            if service and trouble and self._said.get(name) != trouble:
                self._trace.log(trouble, level="warning", service=name)
                self._event(service, "EndpointNotUsable", trouble)
            self._said.pop(name, None)
            if trouble:
                self._said[name] = trouble

    def _trouble(self, endpoints: Endpoints) -> str:
        found = {}
        for subset in endpoints.subsets:
            for ip in (each.ip for each in subset.addresses):
                if self._services.in_range(ip):
                    found[ip] = f"is in the service range {self._services.network}"
                elif ip in self._services:
                    found[ip] = "is a service's address"
                elif not usable(ip, 1):
                    found[ip] = "is loopback or no IPv4 address"
        if not found:
            return ""
        told = [f"{ip} {why}" for ip, why in found.items()][:TOLD_ADDRESSES]
        more = f" and {len(found) - len(told)} more" if len(found) > len(told) else ""
        return f"endpoints that get no connection: {', '.join(told)}{more}; name pods or machines that serve"
