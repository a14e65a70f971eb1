"""What the volumes of a pod stand for: a claim for what its persistent volume is made of, Endpoints for addresses.

    pod            volumes: [{name: data, persistentVolumeClaim: {claimName: mine}}]
    claim mine     volumeName: big           not bound yet: the pod waits, an event says so
    volume big     glusterfs: {endpoints: glusterfs-cluster, path: data}
    Endpoints      10.245.1.2, 10.245.1.3    of the pod's namespace, else of default: a volume has no namespace

Asked for when the pod's volumes are made, and only then. Source: pkg/volume/{persistent_claim,glusterfs} of 1.0.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from labkit.api.errors import ApiError, NotFound, ServerUnavailable
from labkit.api.types import (
    AnyObject,
    Endpoints,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    Volume,
    sources,
)
from labkit.api.types.volumes import PersistentVolumeSource
from labkit.client.rest import Client
from labkit.components.kubelet.volume_files import VolumeFailure

ENDPOINTS_OF_ALL = "default"


@dataclass(frozen=True)
class Resolved:
    """volumes: the pod's, under their names; in place of a claim what it is bound to. servers: volume -> addresses."""

    volumes: list[Volume]
    servers: dict[str, list[str]] = field(default_factory=dict)


class ApiServerAway(VolumeFailure):
    """It cannot be told now; what was told before may do."""


class Claims:
    """Asks the API server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def resolve(self, pod: Pod) -> Resolved:
        """Raises VolumeFailure naming the volume."""
        found = Resolved([])
        for volume in pod.spec.volumes:
            try:
                one = await self._unclaimed(volume, pod)
                found.volumes.append(one)
                if one.glusterfs is not None:
                    found.servers[one.name] = await self._servers(one.glusterfs.endpoints, pod.metadata.namespace)
            except ServerUnavailable as exc:
                raise ApiServerAway(f'volume "{volume.name}": {exc}') from exc
            except (ApiError, VolumeFailure) as exc:
                raise VolumeFailure(f'volume "{volume.name}": {exc}') from exc
        return found

    async def _unclaimed(self, volume: Volume, pod: Pod) -> Volume:
        if volume.persistent_volume_claim is None:
            return volume
        name, namespace = volume.persistent_volume_claim.claim_name, pod.metadata.namespace
        claim = await self._there(PersistentVolumeClaim, name, namespace)
        if claim is None:
            raise VolumeFailure(f'claim "{name}" not found in namespace {namespace}: create it')
        bound = await self._there(PersistentVolume, claim.spec.volume_name) if claim.spec.volume_name else None
        return behind(volume, claim, bound)

    async def _servers(self, name: str, namespace: str) -> list[str]:
        for place in dict.fromkeys((namespace, ENDPOINTS_OF_ALL)):
            endpoints = await self._there(Endpoints, name, place)
            if endpoints is not None and (found := addresses(endpoints)):
                return found
        where = " or ".join(dict.fromkeys((namespace, ENDPOINTS_OF_ALL)))
        raise VolumeFailure(f'endpoints "{name}" with the addresses of the servers not found in namespace {where}')

    async def _there(self, kind: type[AnyObject], name: str, namespace: str = "") -> AnyObject | None:
        try:
            return await self._client.get(kind, name, namespace)
        except NotFound:
            return None


def behind(volume: Volume, claim: PersistentVolumeClaim, bound: PersistentVolume | None) -> Volume:
    """The decision: the pod's volume with the source of the persistent volume. Raises VolumeFailure."""
    name = claim.metadata.name
    if claim.status.phase == "Lost" or (claim.spec.volume_name and bound is None):
        raise VolumeFailure(
            f'claim "{name}" has lost its persistent volume {claim.spec.volume_name}: make another claim'
        )
    ref = bound.spec.claim_ref if bound else None
    if bound is None or ref is None or ref.uid != claim.metadata.uid:
        size = claim.spec.resources.requests.get("storage", "?")
        asks = f"it asks for {size}, {', '.join(claim.spec.access_modes)}"
        raise VolumeFailure(f"The claim {name} is not yet bound to a volume ({asks}): see kubectl get pv")
    found = {kind: getattr(bound.spec, kind) for kind in sources(PersistentVolumeSource)}
    assert volume.persistent_volume_claim is not None
    if volume.persistent_volume_claim.read_only:
        found = {kind: _read_only(source) for kind, source in found.items()}
    return replace(volume, persistent_volume_claim=None, **found)


def _read_only(source: object) -> object:
    """The source with readOnly, where it has such a field; for a hostPath the mount in the container is what counts."""
    return replace(source, read_only=True) if hasattr(source, "read_only") else source  # type: ignore[type-var]


def addresses(endpoints: Endpoints) -> list[str]:
    """Every server's, ready or not: nobody asks them, so nobody knows."""
    every = [a.ip for subset in endpoints.subsets for a in (*subset.addresses, *subset.not_ready_addresses)]
    return list(dict.fromkeys(every))
