"""The downward API: a field of the pod, put into its environment or into a file."""

import re

from labkit.api.errors import Fault
from labkit.api.faults import not_supported, required
from labkit.api.types import ObjectFieldSelector

_ONE_OF_A_MAP = ("metadata.annotations['KEY']", "metadata.labels['KEY']")
ENV_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.podIP", *_ONE_OF_A_MAP,
)  # fmt: skip
VOLUME_PATHS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", *_ONE_OF_A_MAP,
)  # fmt: skip
_SUBSCRIPT = re.compile(r"metadata\.(annotations|labels)\['[^']+'\]")


def field_reference_faults(reference: ObjectFieldSelector, choices: tuple[str, ...], path: str) -> list[Fault]:
    """choices: the fields that may be read there."""
    if not reference.api_version:
        return [required(f"{path}.apiVersion")]
    if not reference.field_path:
        return [required(f"{path}.fieldPath")]
    if reference.field_path not in choices and not _SUBSCRIPT.fullmatch(reference.field_path):
        return [not_supported(f"{path}.fieldPath", reference.field_path, choices)]
    return []
