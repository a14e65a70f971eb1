"""Which volume for which claim: the decisions, without a cluster.

    claim data                          volumes                                    what becomes of it
      ReadWriteMany                       small  1Gi  RWO,RWX   too small
      5Gi                                 fast   10Gi RWO       another mode
                                          big    20Gi RWO,RWX   more than needed
                                          fits   10Gi RWO,RWX   <- the smallest    fits.spec.claimRef = default/data

    volume   Pending -> Available -> Bound -> Released -> Available (Recycle), or stays (Retain), or Failed (Delete)
    claim    Pending -> Bound -> Lost (its volume is gone)

The volume's claimRef is the bond: there is one, it holds the claim's uid, and who wrote it first has the volume. The
claim's volumeName follows. A claimRef without a uid, written by a person, keeps the volume for the claim of that name.
Source: pkg/volumeclaimbinder of Kubernetes 1.0; the order of the writes, reserving and Lost are those of 1.2.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.api import quantity
from labkit.api.types import PersistentVolume, PersistentVolumeClaim

BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
"""The annotation of a volume whose claimRef nobody wrote by hand."""
NONE_FITS = "no persistent volumes available for this claim"
LOST = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"


class ClaimStep(NamedTuple):
    """What a claim is to be: its phase, the volume that it has or shall have, and why it has none."""

    phase: str
    volume: PersistentVolume | None = None
    why: str = ""


class VolumeStep(NamedTuple):
    """What a volume is to be. let_go: its claimRef is a bond that came to nothing."""

    phase: str
    let_go: bool = False


# -- a claim ---------------------------------------------------------------------------------------------------------


def next_of_claim(claim: PersistentVolumeClaim, volumes: Mapping[str, PersistentVolume]) -> ClaimStep:
    """The decision about a claim. volumes: by name."""
    name = claim.spec.volume_name
    if name == "":
        return _without_volume(claim, volumes.values())
    volume = volumes.get(name)
    if volume is not None and is_bound_to(volume, claim):
        return ClaimStep("Bound", volume)
    if claim.status.phase == "Pending":
        return _by_name(claim, volume)
    if volume is not None and (is_free(volume) or is_reserved_for(volume, claim)):
        return ClaimStep("Bound", volume)  # somebody took the claimRef away
    return ClaimStep("Lost", why=LOST if volume is None else f"{LOST} It belongs to another claim now.")


def _without_volume(claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume]) -> ClaimStep:
    volume = match(claim, volumes)
    return ClaimStep("Bound", volume) if volume else ClaimStep("Pending", why=NONE_FITS)


def _by_name(claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> ClaimStep:
    """A claim that names its volume itself."""
    name = claim.spec.volume_name
    if volume is None:
        return ClaimStep("Pending", why=f'waits for persistent volume "{name}", which does not exist')
    if not (is_free(volume) or is_reserved_for(volume, claim)):
        return ClaimStep("Pending", why=f'persistent volume "{name}" is not available: it is {volume.status.phase}')
    if missing := lacks(volume, claim):
        return ClaimStep("Pending", why=f'persistent volume "{name}" does not suit: {missing}')
    return ClaimStep("Bound", volume)


def match(claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume]) -> PersistentVolume | None:
    """Its own if it has one already, else one kept for it, else the smallest that suits, with the fewest modes."""
    mine, reserved, free = [], [], []
    for volume in volumes:
        if is_bound_to(volume, claim):
            mine.append(volume)
        elif lacks(volume, claim):
            continue
        elif is_reserved_for(volume, claim):
            reserved.append(volume)
        elif is_free(volume):
            free.append(volume)
    return min(mine or reserved or free, key=_size, default=None)


def lacks(volume: PersistentVolume, claim: PersistentVolumeClaim) -> str:
    """What the claim asks for and the volume has not, "" when it suits."""
    if modes := [mode for mode in claim.spec.access_modes if mode not in volume.spec.access_modes]:
        return f"it is not {', '.join(modes)}"
    wanted = claim.spec.resources.requests.get("storage", "0")
    has = volume.spec.capacity.get("storage", "0")
    return f"it has {has}, not {wanted}" if quantity.parse(has) < quantity.parse(wanted) else ""


def _size(volume: PersistentVolume) -> tuple[object, int, str]:
    capacity = quantity.parse(volume.spec.capacity.get("storage", "0"))
    return capacity, len(volume.spec.access_modes), volume.metadata.name


# -- a volume --------------------------------------------------------------------------------------------------------


def next_of_volume(volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> VolumeStep:
    """The decision about a volume. claim: the one of its claimRef's name."""
    ref = volume.spec.claim_ref
    if ref is None or ref.uid == "":
        return VolumeStep("Available")
    if claim is None or claim.metadata.uid != ref.uid:
        return VolumeStep("Failed" if volume.status.phase == "Failed" else "Released")
    if claim.spec.volume_name in ("", volume.metadata.name):
        return VolumeStep("Bound")
    return VolumeStep("Available", let_go=True)  # two of us gave the claim a volume at once; it took the other one


def is_free(volume: PersistentVolume) -> bool:
    return volume.spec.claim_ref is None and volume.metadata.deletion_timestamp is None


def is_reserved_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether a person keeps the volume for the claim."""
    ref = volume.spec.claim_ref
    return ref is not None and ref.uid == "" and _names(volume, claim) and volume.metadata.deletion_timestamp is None


def is_bound_to(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    ref = volume.spec.claim_ref
    return ref is not None and ref.uid == claim.metadata.uid and _names(volume, claim)


def _names(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    ref, meta = volume.spec.claim_ref, claim.metadata
    return ref is not None and (ref.namespace, ref.name) == (meta.namespace, meta.name)
