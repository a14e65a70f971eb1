"""Events: an event lives where the object that it is about lives."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import Event
from labkit.api.validation import metadata


def faults(event: Event) -> list[Fault]:
    """Events about a node may be kept anywhere, those about anything else without a namespace in `default`."""
    found = metadata.object_faults(event, DNS_SUBDOMAIN)
    about = event.involved_object
    if about.kind != "Node" and event.metadata.namespace != (about.namespace or "default"):
        found.append(invalid("involvedObject.namespace", about.namespace, "namespace does not match involvedObject"))
    return found


def update_faults(new: Event, old: Event) -> list[Fault]:
    return metadata.update_faults(new, old) + faults(new)
