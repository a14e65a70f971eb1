"""PersistentVolume, PersistentVolumeClaim."""

from typing import Any

import pytest

from tests.unit.api.reading import faults, read, update_faults

SPEC = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
LOCAL = {"hostPath": {"path": "/data"}}


def test_defaults() -> None:
    volume = read("PersistentVolume", spec=SPEC | LOCAL)
    assert (volume.spec.persistent_volume_reclaim_policy, volume.status.phase) == ("Retain", "Pending")
    assert read("PersistentVolumeClaim").status.phase == "Pending"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (SPEC | LOCAL, []),
        (SPEC | {"nfs": {"server": "master", "path": "/exports"}, "persistentVolumeReclaimPolicy": "Recycle"}, []),
        (LOCAL, ["spec.accessModes: required value", "spec.capacity: required value",
                 "spec.capacity: invalid value 'map[]': only storage is expected"]),
        (SPEC | LOCAL | {"capacity": {"storage": "1Gi", "cpu": "1"}},
         ["spec.capacity: invalid value 'map[cpu:1 storage:1Gi]': only storage is expected"]),
        (SPEC | LOCAL | {"capacity": {"storage": "-1"}},
         ["spec.capacity[storage]: invalid value '-1': must be a valid resource quantity"]),
        (SPEC | LOCAL | {"accessModes": ["ReadWriteTwice"]},
         ["spec.accessModes: unsupported value 'ReadWriteTwice': supported values: ReadWriteOnce, ReadOnlyMany, "
          "ReadWriteMany"]),
        (SPEC | {"hostPath": {}}, ["spec.hostPath.path: required value"]),
        (SPEC | LOCAL | {"persistentVolumeReclaimPolicy": "Forget"},
         ["spec.persistentVolumeReclaimPolicy: unsupported value 'Forget': supported values: Delete, Recycle, Retain"]),
    ],
)  # fmt: skip
def test_volumes(spec: dict[str, Any], expected: list[str]) -> None:
    assert faults("PersistentVolume", spec=spec) == expected


@pytest.mark.parametrize("sources", [{}, LOCAL | {"nfs": {"server": "s", "path": "/"}}])
def test_a_volume_comes_from_one_place(sources: dict[str, Any]) -> None:
    (fault,) = faults("PersistentVolume", spec=SPEC | sources)
    assert fault.startswith("spec: invalid value '{")
    assert fault.endswith("}': exactly 1 volume type is required")


def test_a_volume_is_outside_of_namespaces() -> None:
    volume = read("PersistentVolume", spec=SPEC | LOCAL)
    assert volume.metadata.namespace == ""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}, []),
        ({}, ["spec.accessModes: required value",
              "spec.resources.requests: invalid value 'map[]': No Storage size specified"]),
        ({"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "-1"}}},
         ["spec.resources.requests[storage]: invalid value '-1': must be a valid resource quantity"]),
    ],
)  # fmt: skip
def test_claims(spec: dict[str, Any], expected: list[str]) -> None:
    assert faults("PersistentVolumeClaim", spec=spec) == expected


def test_a_claim_can_be_changed() -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    bound = read("PersistentVolumeClaim", spec=spec | {"volumeName": "v"})
    assert update_faults(bound, read("PersistentVolumeClaim", spec=spec)) == []
