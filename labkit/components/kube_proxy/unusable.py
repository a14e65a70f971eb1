"""Endpoints that no mode leads a connection to: somebody who wrote them by hand is told, on the Service.

Endpoints default/db, 127.0.0.1:5432   each machine's own loopback, where private things listen
Endpoints default/db, 10.0.0.12:80     a service's address: a circle of connections, or two proxies in a row
"""

from collections.abc import Callable, Mapping

from labkit.api.types import Endpoints, Service, key
from labkit.components.kube_proxy.balancer import usable
from labkit.trace import Tracer

TOLD_ADDRESSES = 5  # in one event


class Unusable:
    """Says so once for each such set of addresses."""

    def __init__(self, trace: Tracer, event: Callable[[Service, str, str], None]) -> None:
        self._trace = trace
        self._event = event
        self._changed: set[str] = set()
        self._said: dict[str, str] = {}

    def endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        """To be looked at when services are known too."""
        changed = new or old
        assert changed is not None
        self._changed.add(key(changed))

    def tell(self, services: Mapping[str, Service], endpoints: Mapping[str, Endpoints]) -> None:
        """Look at those that changed since the last time."""
        changed, self._changed = self._changed, set()
        service_ips = {service.spec.cluster_ip for service in services.values()} if changed else set()
        for name in changed:
            trouble = _trouble(endpoints[name], service_ips) if name in endpoints else ""
            if trouble and self._said.get(name) != trouble:
                self._trace.log(trouble, level="warning", service=name)
                if service := services.get(name):
                    self._event(service, "EndpointNotUsable", trouble)
            self._said.pop(name, None)
            if trouble:
                self._said[name] = trouble


def _trouble(endpoints: Endpoints, service_ips: set[str]) -> str:
    found = {}
    for subset in endpoints.subsets:
        for ip in (each.ip for each in subset.addresses):
            if ip in service_ips:
                found[ip] = "is a service's address"
            elif not usable(ip, 1):
                found[ip] = "is loopback or no IPv4 address"
    if not found:
        return ""
    told = [f"{ip} {why}" for ip, why in found.items()][:TOLD_ADDRESSES]
    more = f" and {len(found) - len(told)} more" if len(found) > len(told) else ""
    return f"endpoints that get no connection: {', '.join(told)}{more}; name pods or machines that serve"
