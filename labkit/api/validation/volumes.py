"""Where a volume comes from: exactly one kind of source, and what that kind needs.

The original's paths say `persistentDisk` for what the object calls gcePersistentDisk.
"""

import posixpath
from collections.abc import Callable
from typing import Any

from labkit.api.errors import Fault
from labkit.api.faults import duplicate, forbidden, invalid, required
from labkit.api.names import DATA_KEY, DNS_LABEL
from labkit.api.types import (
    AWSElasticBlockStoreVolumeSource,
    ConfigMapVolumeSource,
    DownwardAPIVolumeSource,
    GCEPersistentDiskVolumeSource,
    GitRepoVolumeSource,
    GlusterfsVolumeSource,
    HostPathVolumeSource,
    ISCSIVolumeSource,
    KeyToPath,
    NFSVolumeSource,
    PersistentVolumeClaimVolumeSource,
    PersistentVolumeSource,
    RBDVolumeSource,
    SecretVolumeSource,
    Volume,
    VolumeSource,
    sources,
)
from labkit.api.validation.field_reference import VOLUME_PATHS, field_reference_faults

_PARTITION = "must be greater than 0 and less than 255"
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def names_and_faults(volumes: list[Volume], path: str) -> tuple[set[str], list[Fault]]:
    """The names that containers may mount, and what is wrong."""
    names: set[str] = set()
    found: list[Fault] = []
    for index, volume in enumerate(volumes):
        mine = source_faults(volume, VolumeSource, f"{path}[{index}].source")
        field = f"{path}[{index}].name"
        if not volume.name:
            mine.append(required(field))
        elif why := DNS_LABEL.fault(volume.name):
            mine.append(invalid(field, volume.name, why))
        elif volume.name in names:
            mine.append(duplicate(field, volume.name))
        if not mine:
            names.add(volume.name)
        found += mine
    return names, found


def source_faults(volume: PersistentVolumeSource, among: type[PersistentVolumeSource], path: str) -> list[Fault]:
    """Exactly one of the sources that `among` has."""
    given = [name for name in sources(among) if getattr(volume, name) is not None]
    found: list[Fault] = []
    for name in given:
        path_name, rule = _RULES.get(name, ("", None))
        if rule:
            found += rule(getattr(volume, name), f"{path}.{path_name}".removeprefix("."))
    if len(given) != 1:
        found.append(invalid(path, volume, "exactly 1 volume type is required"))
    return found


def _needed(source: Any, path: str, *fields: tuple[str, str]) -> list[Fault]:
    """fields: (attribute, name in the object); every one must have a value."""
    return [required(f"{path}.{name}") for attribute, name in fields if not getattr(source, attribute)]


def _host_path(source: HostPathVolumeSource, path: str) -> list[Fault]:
    return _needed(source, path, ("path", "path"))


def _git_repo(source: GitRepoVolumeSource, path: str) -> list[Fault]:
    return _needed(source, path, ("repository", "repository"))


def _gce_disk(source: GCEPersistentDiskVolumeSource, path: str) -> list[Fault]:
    return _needed(source, path, ("pd_name", "pdName"), ("fs_type", "fsType")) + _partition(source.partition, path)


def _aws_disk(source: AWSElasticBlockStoreVolumeSource, path: str) -> list[Fault]:
    return _needed(source, path, ("volume_id", "volumeID"), ("fs_type", "fsType")) + _partition(source.partition, path)


def _partition(number: int | None, path: str) -> list[Fault]:
    return [] if 0 <= (number or 0) <= 255 else [invalid(f"{path}.partition", number, _PARTITION)]


def _nfs(source: NFSVolumeSource, path: str) -> list[Fault]:
    found = _needed(source, path, ("server", "server"), ("path", "path"))
    if not source.path.startswith("/"):
        found.append(invalid(f"{path}.path", source.path, "must be an absolute path"))
    return found


def _iscsi(source: ISCSIVolumeSource, path: str) -> list[Fault]:
    found = _needed(source, path, ("target_portal", "targetPortal"), ("iqn", "iqn"), ("fs_type", "fsType"))
    if not 0 <= (source.lun or 0) <= 255:
        found.append(invalid(f"{path}.lun", source.lun, "must be between 0 and 255"))
    return found


def _glusterfs(source: GlusterfsVolumeSource, path: str) -> list[Fault]:
    return _needed(source, path, ("endpoints", "endpoints"), ("path", "path"))


def _rbd(source: RBDVolumeSource, path: str) -> list[Fault]:
    return _needed(source, path, ("monitors", "monitors"), ("image", "image"), ("fs_type", "fsType"))


def _claim(source: PersistentVolumeClaimVolumeSource, path: str) -> list[Fault]:
    return _needed(source, path, ("claim_name", "claimName"))


def _secret(source: SecretVolumeSource, path: str) -> list[Fault]:
    found = _needed(source, path, ("secret_name", "secretName"))
    return found + _mode(source.default_mode, f"{path}.defaultMode") + _items(source.items, f"{path}.items")


def _config_map(source: ConfigMapVolumeSource, path: str) -> list[Fault]:
    found = _needed(source, path, ("name", "name"))
    return found + _mode(source.default_mode, f"{path}.defaultMode") + _items(source.items, f"{path}.items")


def _downward_api(source: DownwardAPIVolumeSource, path: str) -> list[Fault]:
    found = _mode(source.default_mode, f"{path}.defaultMode")
    for index, file in enumerate(source.items):
        field = f"{path}.items[{index}]"
        found += _file_faults(file.path, f"{field}.path") + _mode(file.mode, f"{field}.mode")
        if file.field_ref is None:
            found.append(required(f"{field}.fieldRef"))
        else:
            found += field_reference_faults(file.field_ref, VOLUME_PATHS, f"{field}.fieldRef")
    return found


def _items(items: list[KeyToPath], path: str) -> list[Fault]:
    """Which keys become which files."""
    found: list[Fault] = []
    for index, item in enumerate(items):
        field = f"{path}[{index}]"
        if not item.key:
            found.append(required(f"{field}.key"))
        elif why := DATA_KEY.fault(item.key):
            found.append(invalid(f"{field}.key", item.key, why))
        found += _file_faults(item.path, f"{field}.path") + _mode(item.mode, f"{field}.mode")
    return found


def _mode(mode: int | None, path: str) -> list[Fault]:
    return [] if mode is None or 0 <= mode <= 0o777 else [invalid(path, mode, _MODE)]


def _file_faults(name: str, path: str) -> list[Fault]:
    """A file below the volume's directory, and nowhere else."""
    if not name:
        return [required(path)]
    if posixpath.isabs(name):
        return [forbidden(path, "must not be an absolute path")]
    parts = name.split("/")
    if ".." in parts:
        return [invalid(path, name, 'must not contain "..".')]
    if parts[0].startswith(".."):
        return [invalid(path, name, 'must not start with "..".')]
    return []


# attribute -> how the original's paths call it, and its rule (emptyDir has none)
_RULES: dict[str, tuple[str, Callable[[Any, str], list[Fault]]]] = {
    "host_path": ("hostPath", _host_path),
    "gce_persistent_disk": ("persistentDisk", _gce_disk),
    "aws_elastic_block_store": ("awsElasticBlockStore", _aws_disk),
    "nfs": ("nfs", _nfs),
    "iscsi": ("iscsi", _iscsi),
    "glusterfs": ("glusterfs", _glusterfs),
    "rbd": ("rbd", _rbd),
    "git_repo": ("gitRepo", _git_repo),
    "secret": ("secret", _secret),
    "config_map": ("configMap", _config_map),
    "persistent_volume_claim": ("persistentVolumeClaim", _claim),
    "downward_api": ("downwardAPI", _downward_api),
}
