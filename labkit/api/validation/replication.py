"""Replication controllers: the selector must select what the template makes."""

from labkit.api.errors import Fault
from labkit.api.faults import invalid, not_supported, required
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import PodTemplateSpec, ReplicationController, ReplicationControllerSpec
from labkit.api.validation import metadata, pod_template


def faults(rc: ReplicationController) -> list[Fault]:
    return metadata.object_faults(rc, DNS_SUBDOMAIN) + _spec_faults(rc.spec)


def update_faults(new: ReplicationController, old: ReplicationController) -> list[Fault]:
    """The original looks at the spec twice and reports its faults twice."""
    return _spec_faults(new.spec) + metadata.update_faults(new, old) + _spec_faults(new.spec)


def status_update_faults(new: ReplicationController, old: ReplicationController) -> list[Fault]:
    found = metadata.update_faults(new, old)
    for name, count in (("replicas", new.status.replicas), ("observedGeneration", new.status.observed_generation)):
        if (count or 0) < 0:
            found.append(invalid(f"status.{name}", count, "must be non-negative"))
    return found


def _spec_faults(spec: ReplicationControllerSpec) -> list[Fault]:
    found = []
    if not spec.selector:
        found.append(required("spec.selector"))
    replicas = spec.replicas or 0
    if replicas < 0:
        found.append(invalid("spec.replicas", replicas, "must be non-negative"))
    if spec.template is None:
        return [*found, required("spec.template")]
    labels = spec.template.metadata.labels
    if any(labels.get(key) != value for key, value in spec.selector.items()):
        found.append(invalid("spec.template.labels", labels, "selector does not match template"))
    return found + _template_faults(spec.template, replicas)


def _template_faults(template: PodTemplateSpec, replicas: int) -> list[Fault]:
    path = "spec.template"
    found = pod_template.spec_faults(template, path)
    if replicas > 1:
        found += _shared_disk_faults(template, path)
    policy = template.spec.restart_policy
    if policy != "Always":
        found.append(not_supported(f"{path}.spec.restartPolicy", policy, ["Always"]))
    return found


def _shared_disk_faults(template: PodTemplateSpec, path: str) -> list[Fault]:
    why = (
        "ReadOnly must be true for replicated pods > 1, as GCE PD can only be mounted on multiple machines if it is "
        "read-only."
    )
    return [
        invalid(f"{path}.spec.volumes.GCEPersistentDisk.ReadOnly", False, why)
        for volume in template.spec.volumes
        if volume.gce_persistent_disk and not volume.gce_persistent_disk.read_only
    ]
