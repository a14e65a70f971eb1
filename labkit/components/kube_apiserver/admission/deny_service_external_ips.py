"""DenyServiceExternalIPs: nobody may have the traffic of an address that the cluster did not give out.

Every kube-proxy takes what is sent to a Service's external IPs (in 2015: public IPs), whoever's they are: who may
create a Service could catch what others send to any address. What a Service has already may stay.
Source: Kubernetes 1.21.
"""

from __future__ import annotations

from typing import Any

from labkit.api.types import Service
from labkit.components.kube_apiserver.admission.plugin import Asked, View, forbidden


def admit(asked: Asked, view: View) -> Any:
    """The Service, unchanged. Raises Forbidden."""
    if isinstance(asked.obj, Service):
        before = view.get(Service, asked.name, asked.namespace) if asked.operation == "UPDATE" else None
        if addresses(asked.obj) - (addresses(before) if before else set()):
            raise forbidden(asked, "Use of external IPs is denied by admission control")
    return asked.obj


def addresses(service: Service) -> set[str]:
    """Under all names that the field has had."""
    spec = service.spec
    return {*spec.external_ips, *spec.deprecated_public_ips, *spec.public_ips}
