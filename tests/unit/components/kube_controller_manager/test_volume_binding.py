"""Which volume for which claim, as tables."""

from typing import Any

import pytest

from labkit.api.types import (
    HostPathVolumeSource,
    ObjectMeta,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    ResourceRequirements,
)
from labkit.components.kube_controller_manager.volume_binding import (
    LOST,
    NONE_FITS,
    lacks,
    match,
    next_of_claim,
    next_of_volume,
)

MODES = {"RWO": "ReadWriteOnce", "ROX": "ReadOnlyMany", "RWX": "ReadWriteMany"}


def volume(name: str, size: str = "1Gi", modes: str = "RWO", ref: str = "", phase: str = "Available",
           going: bool = False) -> PersistentVolume:  # fmt: skip
    """ref: `claim` or `claim=uid`, of namespace default."""
    claim, _, uid = ref.partition("=")
    return PersistentVolume(
        metadata=ObjectMeta(name=name, uid=f"u-{name}", deletion_timestamp="2015-06-01T00:00:00Z" if going else None),
        spec=PersistentVolumeSpec(
            capacity={"storage": size}, access_modes=[MODES[mode] for mode in modes.split(",")],
            host_path=HostPathVolumeSource(path="/data"),
            claim_ref=ObjectReference(namespace="default", name=claim, uid=uid) if claim else None,
        ),
        status=PersistentVolumeStatus(phase=phase),
    )  # fmt: skip


def claim(size: str = "1Gi", modes: str = "RWO", wants: str = "", phase: str = "Pending", uid: str = "7",
          namespace: str = "default") -> PersistentVolumeClaim:  # fmt: skip
    return PersistentVolumeClaim(
        metadata=ObjectMeta(name="data", namespace=namespace, uid=uid),
        spec=PersistentVolumeClaimSpec(
            access_modes=[MODES[mode] for mode in modes.split(",")],
            resources=ResourceRequirements(requests={"storage": size}),
            volume_name=wants,
        ),
        status=PersistentVolumeClaimStatus(phase=phase),
    )


@pytest.mark.parametrize(
    ("wanted", "volumes", "expected"),
    [
        (claim(), [], None),
        (claim(), [volume("a")], "a"),
        (claim("5Gi"), [volume("big", "100Gi"), volume("fits", "5Gi"), volume("small", "4Gi")], "fits"),
        (claim("1100Mi"), [volume("a", "1Gi")], None),
        (claim("1G"), [volume("a", "1Gi")], "a"),
        (claim(modes="RWX"), [volume("a", modes="RWO,ROX")], None),
        (claim(modes="ROX,RWO"), [volume("a", modes="RWO,ROX")], "a"),
        (claim(modes="RWO"), [volume("all", modes="RWO,ROX,RWX"), volume("one", modes="RWO")], "one"),
        (claim(modes="RWO"), [volume("all", modes="RWO,ROX,RWX"), volume("one", "2Gi", modes="RWO")], "all"),
        (claim(), [volume("b"), volume("a")], "a"),
        # taken, reserved, going
        (claim(), [volume("a", ref="other=8")], None),
        (claim(), [volume("a", ref="data=old")], None),
        (claim(), [volume("a", ref="other")], None),
        (claim(), [volume("a", going=True)], None),
        (claim(), [volume("a", ref="data", going=True)], None),
        (claim(), [volume("a"), volume("kept", "9Gi", ref="data")], "kept"),
        (claim("2Gi"), [volume("kept", "1Gi", ref="data"), volume("a", "2Gi")], "a"),
        (claim(namespace="team"), [volume("kept", ref="data")], None),
        # what was begun is gone on with
        (claim(), [volume("a"), volume("kept", ref="data"), volume("mine", "9Gi", ref="data=7")], "mine"),
    ],
)  # fmt: skip
def test_match(wanted: PersistentVolumeClaim, volumes: list[PersistentVolume], expected: str | None) -> None:
    found = match(wanted, volumes)
    assert (found.metadata.name if found else None) == expected


def test_what_a_volume_lacks() -> None:
    assert lacks(volume("a", "2Gi"), claim("1Gi")) == ""
    assert lacks(volume("a", "2Gi"), claim("3Gi")) == "it has 2Gi, not 3Gi"
    assert lacks(volume("a"), claim(modes="RWX,ROX")) == "it is not ReadWriteMany, ReadOnlyMany"


@pytest.mark.parametrize(
    ("wanted", "volumes", "phase", "name", "why"),
    [
        (claim(), [], "Pending", None, NONE_FITS),
        (claim(), [volume("a")], "Bound", "a", ""),
        # it names its volume
        (claim(wants="a"), [volume("b")], "Pending", None, 'waits for persistent volume "a", which does not exist'),
        (claim(wants="a"), [volume("a", ref="other=8", phase="Bound")], "Pending", None,
         'persistent volume "a" is not available: it is Bound'),
        (claim("3Gi", wants="a"), [volume("a")], "Pending", None,
         'persistent volume "a" does not suit: it has 1Gi, not 3Gi'),
        (claim(wants="a"), [volume("a"), volume("b")], "Bound", "a", ""),
        (claim(wants="a"), [volume("a", ref="data")], "Bound", "a", ""),
        # it was bound
        (claim(wants="a", phase="Bound"), [volume("a", ref="data=7", phase="Bound")], "Bound", "a", ""),
        (claim("9Gi", wants="a", phase="Bound"), [volume("a", ref="data=7", phase="Bound")], "Bound", "a", ""),
        (claim(wants="a", phase="Bound"), [volume("a")], "Bound", "a", ""),
        (claim(wants="a", phase="Bound"), [volume("b")], "Lost", None, LOST),
        (claim(wants="a", phase="Bound"), [volume("a", ref="other=8", phase="Bound")], "Lost", None,
         f"{LOST} It belongs to another claim now."),
        (claim(wants="a", phase="Lost"), [], "Lost", None, LOST),
        (claim(wants="a", phase="Lost"), [volume("a", ref="data=7")], "Bound", "a", ""),
    ],
)  # fmt: skip
def test_next_of_claim(
    wanted: PersistentVolumeClaim, volumes: list[PersistentVolume], phase: str, name: str | None, why: str
) -> None:
    step = next_of_claim(wanted, {one.metadata.name: one for one in volumes})
    assert (step.phase, step.volume.metadata.name if step.volume else None, step.why) == (phase, name, why)


@pytest.mark.parametrize(
    ("one", "its_claim", "expected"),
    [
        (volume("a", phase="Pending"), None, ("Available", False)),
        (volume("a", phase="Released"), None, ("Available", False)),  # somebody took the claimRef away
        (volume("a", phase="Failed"), None, ("Available", False)),
        (volume("a", ref="data"), None, ("Available", False)),
        (volume("a", ref="data"), claim(), ("Available", False)),  # the claim's look binds it
        (volume("a", ref="data=7"), claim(), ("Bound", False)),
        (volume("a", ref="data=7"), claim(wants="a", phase="Bound"), ("Bound", False)),
        (volume("a", ref="data=7", phase="Bound"), None, ("Released", False)),
        (volume("a", ref="data=7", phase="Bound"), claim(uid="new"), ("Released", False)),
        (volume("a", ref="data=7", phase="Failed"), None, ("Failed", False)),
        (volume("a", ref="data=7"), claim(wants="b", phase="Bound"), ("Available", True)),
    ],
)
def test_next_of_volume(one: PersistentVolume, its_claim: Any, expected: tuple[str, bool]) -> None:
    assert tuple(next_of_volume(one, its_claim)) == expected
