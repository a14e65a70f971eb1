"""What is in the files of a secret, configMap or downwardAPI volume: the decision, without touching a disk.

    secret     every key is a file, or `items` says which keys, under which paths
    configMap  the same
    downwardAPI  `items` says which fields of the pod, under which paths

Their modes: the item's, else the volume's defaultMode, else 0644: who is in the container may run as any user, and on
the machine nobody but root comes near them (volumes.py). Source: pkg/volume/{secret,downwardapi} of Kubernetes 1.0;
items, modes and config maps came later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.api.types import ConfigMap, DownwardAPIVolumeSource, KeyToPath, Pod, Secret, Volume, VolumeMount
from labkit.components.kubelet.fields import field_for_file
from labkit.components.kubelet.sources import Found, Reference

DEFAULT_MODE = 0o644


class VolumeFailure(Exception):
    """A volume cannot be had; the message names it and what to do."""


@dataclass(frozen=True)
class File:
    content: bytes
    mode: int = DEFAULT_MODE


Files = Mapping[str, File]
"""By path below the volume: `token`, `nested/one`."""


def is_written_by_kubelet(volume: Volume) -> bool:
    """Whether its files are made here, and changed when their source changes; containers only read them."""
    return bool(volume.secret or volume.config_map or volume.downward_api)


def is_read_only(volume: Volume) -> bool:
    """Whether no container may write to it, whatever its mount says."""
    claim = volume.persistent_volume_claim
    return is_written_by_kubelet(volume) or bool(claim and claim.read_only)


def place_name(mount: VolumeMount) -> str:
    """What of a volume is mounted: `data`, or `data/a/part`."""
    return f"{mount.name}/{mount.sub_path}" if mount.sub_path else mount.name


def files_of(volume: Volume, pod: Pod, found: Found) -> Files:
    """The files of such a volume. Raises VolumeFailure for a source or key that is not there."""
    if volume.secret:
        secret = volume.secret
        data = _data(volume, Reference(Secret, secret.secret_name), found, bool(secret.optional))
        return _chosen(volume, data, secret.items, secret.default_mode, bool(secret.optional))
    if volume.config_map:
        source = volume.config_map
        data = _data(volume, Reference(ConfigMap, source.name), found, bool(source.optional))
        return _chosen(volume, data, source.items, source.default_mode, bool(source.optional))
    assert volume.downward_api is not None
    return _fields(volume, volume.downward_api, pod)


def data_of(source: Secret | ConfigMap) -> dict[str, bytes]:
    """Every key's value."""
    if isinstance(source, Secret):
        return source.data
    return {key: text.encode() for key, text in source.data.items()} | source.binary_data


def _data(volume: Volume, reference: Reference, found: Found, optional: bool) -> dict[str, bytes]:
    source = found.get(reference)
    if source is not None:
        return data_of(source)
    if optional:
        return {}
    raise VolumeFailure(f'volume "{volume.name}": {reference} not found: create it, or set optional: true')


def _chosen(
    volume: Volume, data: Mapping[str, bytes], items: Sequence[KeyToPath], default_mode: int | None, optional: bool
) -> Files:
    if not items:
        return {key: File(content, _mode(None, default_mode)) for key, content in data.items()}
    files = {}
    for item in items:
        if item.key in data:
            files[item.path] = File(data[item.key], _mode(item.mode, default_mode))
        elif not optional:
            known = ", ".join(sorted(data)) or "none"
            raise VolumeFailure(f'volume "{volume.name}": references non-existent key: {item.key} (there: {known})')
    return files


def _fields(volume: Volume, source: DownwardAPIVolumeSource, pod: Pod) -> Files:
    files = {}
    for item in source.items:
        path = item.field_ref.field_path if item.field_ref else ""
        try:
            content = field_for_file(pod, path).encode()
        except ValueError as exc:
            raise VolumeFailure(f'volume "{volume.name}": {exc}') from exc
        files[item.path] = File(content, _mode(item.mode, source.default_mode))
    return files


def _mode(own: int | None, default: int | None) -> int:
    return own if own is not None else default if default is not None else DEFAULT_MODE
