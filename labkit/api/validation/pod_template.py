"""What pods are made from: the template of a replication controller, or one that is kept for itself."""

from labkit.api.errors import Fault
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import PodTemplate, PodTemplateSpec
from labkit.api.validation import metadata, pod


def faults(template: PodTemplate) -> list[Fault]:
    return metadata.object_faults(template, DNS_SUBDOMAIN) + spec_faults(template.template, "template")


def update_faults(new: PodTemplate, old: PodTemplate) -> list[Fault]:
    return metadata.update_faults(new, old) + spec_faults(new.template, "template")


def spec_faults(template: PodTemplateSpec, path: str) -> list[Fault]:
    """path: `template`, or `spec.template`."""
    found = metadata.labels(template.metadata.labels, f"{path}.labels")
    found += metadata.annotations(template.metadata.annotations, f"{path}.annotations")
    return found + pod.spec_faults(template.spec, f"{path}.spec")
