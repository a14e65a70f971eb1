"""Volumes: what a pod's containers can mount, and where it comes from.

The sources that a persistent volume can have as well are `PersistentVolumeSource`; the others exist only in a pod.
"""

from msgspec import field

from labkit.api.types.metadata import LocalObjectReference
from labkit.api.types.part import Int32, Part, Quantity

# -- of a pod and of a persistent volume -----------------------------------------------------------------------------


class HostPathVolumeSource(Part):
    path: str = ""
    type: str | None = None


class GCEPersistentDiskVolumeSource(Part):
    pd_name: str = ""
    fs_type: str = ""
    partition: Int32 | None = None
    read_only: bool | None = None


class AWSElasticBlockStoreVolumeSource(Part):
    volume_id: str = field(default="", name="volumeID")
    fs_type: str = ""
    partition: Int32 | None = None
    read_only: bool | None = None


class NFSVolumeSource(Part):
    server: str = ""
    path: str = ""
    read_only: bool | None = None


class ISCSIVolumeSource(Part):
    target_portal: str = ""
    iqn: str = ""
    lun: Int32 | None = None
    fs_type: str = ""
    read_only: bool | None = None


class GlusterfsVolumeSource(Part):
    endpoints: str = ""
    path: str = ""
    read_only: bool | None = None


class RBDVolumeSource(Part):
    monitors: list[str] = []
    image: str = ""
    fs_type: str = ""
    pool: str = ""
    user: str = ""
    keyring: str = ""
    secret_ref: LocalObjectReference | None = None
    read_only: bool | None = None


class PersistentVolumeSource(Part):
    """At most one of these."""

    host_path: HostPathVolumeSource | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    glusterfs: GlusterfsVolumeSource | None = None
    rbd: RBDVolumeSource | None = None


# -- of a pod only ---------------------------------------------------------------------------------------------------


class EmptyDirVolumeSource(Part):
    medium: str = ""
    size_limit: Quantity | None = None


class GitRepoVolumeSource(Part):
    repository: str = ""
    revision: str = ""
    directory: str = ""


class KeyToPath(Part):
    key: str = ""
    path: str = ""
    mode: Int32 | None = None


class SecretVolumeSource(Part):
    secret_name: str = ""
    items: list[KeyToPath] = []
    default_mode: Int32 | None = None
    optional: bool | None = None


class ConfigMapVolumeSource(Part):
    name: str = ""
    items: list[KeyToPath] = []
    default_mode: Int32 | None = None
    optional: bool | None = None


class PersistentVolumeClaimVolumeSource(Part):
    claim_name: str = ""
    read_only: bool | None = None


class ObjectFieldSelector(Part):
    api_version: str = ""
    field_path: str = ""


class DownwardAPIVolumeFile(Part):
    path: str = ""
    field_ref: ObjectFieldSelector | None = None
    mode: Int32 | None = None


class DownwardAPIVolumeSource(Part):
    items: list[DownwardAPIVolumeFile] = []
    default_mode: Int32 | None = None


class VolumeSource(PersistentVolumeSource):
    """At most one of these; none of them means emptyDir."""

    empty_dir: EmptyDirVolumeSource | None = None
    git_repo: GitRepoVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = None


class Volume(VolumeSource):
    name: str = ""


class VolumeMount(Part):
    name: str = ""
    mount_path: str = ""
    sub_path: str = ""
    read_only: bool | None = None


def sources(of: type[PersistentVolumeSource]) -> tuple[str, ...]:
    """The attributes of VolumeSource or PersistentVolumeSource, each of them one kind of volume."""
    return of.__struct_fields__
