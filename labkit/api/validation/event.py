"""Events: an event lives where the object that it is about lives."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import Event
from labkit.api.validation import metadata


def faults(event: Event) -> list[Fault]:
    """Events about what has no namespace are kept in `default`."""
    namespace = event.involved_object.namespace
    if event.metadata.namespace != (namespace or "default"):
        return [invalid("involvedObject.namespace", namespace, "namespace does not match involvedObject")]
    why = DNS_SUBDOMAIN.fault(event.metadata.name)
    return [invalid("metadata.name", event.metadata.name, why)] if why else []


def update_faults(new: Event, old: Event) -> list[Fault]:
    return metadata.update_faults(new, old) + faults(new)
