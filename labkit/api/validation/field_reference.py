"""The downward API: a field of the pod, put into its environment or into a file."""

from labkit.api.errors import Fault
from labkit.api.faults import not_supported, required
from labkit.api.types import ObjectFieldSelector

ENV_PATHS = ("metadata.name", "metadata.namespace", "status.podIP")
VOLUME_PATHS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace")


def field_reference_faults(reference: ObjectFieldSelector, choices: tuple[str, ...], path: str) -> list[Fault]:
    """choices: the fields that may be read there."""
    if not reference.api_version:
        return [required(f"{path}.apiVersion")]
    if not reference.field_path:
        return [required(f"{path}.fieldPath")]
    if reference.field_path not in choices:
        return [not_supported(f"{path}.fieldPath", reference.field_path, choices)]
    return []
