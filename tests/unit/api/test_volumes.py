"""What the volumes and the environment of a pod refer to; pod templates, which hold the same."""

from typing import Any

import pytest

from labkit.api import codec
from tests.unit.api.reading import faults, read

MODE = "must be a number between 0 and 0777 (octal), both inclusive"
CONTAINER = {"name": "c", "image": "i"}


def of_volume(**source: Any) -> list[str]:
    """Faults below `spec.volumes[0].source`."""
    found = faults("Pod", spec={"containers": [CONTAINER], "volumes": [{"name": "v", **source}]})
    return [fault.removeprefix("spec.volumes[0].source.") for fault in found]


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"emptyDir": {"medium": "Memory"}},
        {"hostPath": {"path": "/"}},
        {"secret": {"secretName": "s", "items": [{"key": "a", "path": "dir/a", "mode": 0o400}], "optional": True}},
        {"configMap": {"name": "c", "items": [{"key": "A_B", "path": "a.conf"}], "defaultMode": 0o644}},
        {"persistentVolumeClaim": {"claimName": "p", "readOnly": True}},
        {"gitRepo": {"repository": "https://example.com/r.git", "revision": "main"}},
        {"nfs": {"server": "s", "path": "/p"}},
        {"glusterfs": {"endpoints": "e", "path": "p"}},
        {"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2015", "lun": 0, "fsType": "ext4"}},
        {"rbd": {"monitors": ["10.0.0.1:6789"], "image": "i", "fsType": "ext4", "secretRef": {"name": "s"}}},
        {"gcePersistentDisk": {"pdName": "d", "fsType": "ext4"}},
        {"awsElasticBlockStore": {"volumeID": "vol-1", "fsType": "ext4"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ],
    ids=str,
)
def test_accepted(source: dict[str, Any]) -> None:
    assert of_volume(**source) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"secret": {}}, ["secret.secretName: required value"]),
        ({"secret": {"secretName": "s", "items": [{}]}},
         ["secret.items[0].key: required value", "secret.items[0].path: required value"]),
        ({"secret": {"secretName": "s", "defaultMode": 0o1000}}, [f"secret.defaultMode: invalid value '512': {MODE}"]),
        ({"configMap": {"name": "", "items": [{"key": "k", "path": "/etc/passwd"}]}},
         ["configMap.name: required value", "configMap.items[0].path: forbidden 'must not be an absolute path'"]),
        ({"configMap": {"name": "c", "items": [{"key": "k", "path": "a/../../b"}]}},
         ["configMap.items[0].path: invalid value 'a/../../b': must not contain \"..\"."]),
        ({"configMap": {"name": "c", "items": [{"key": "k", "path": "..data"}]}},
         ["configMap.items[0].path: invalid value '..data': must not start with \"..\"."]),
        ({"persistentVolumeClaim": {}}, ["persistentVolumeClaim.claimName: required value"]),
        ({"gitRepo": {}}, ["gitRepo.repository: required value"]),
        ({"nfs": {}}, ["nfs.server: required value", "nfs.path: required value",
                       "nfs.path: invalid value '': must be an absolute path"]),
        ({"glusterfs": {}}, ["glusterfs.endpoints: required value", "glusterfs.path: required value"]),
        ({"iscsi": {"lun": 256}}, ["iscsi.targetPortal: required value", "iscsi.iqn: required value",
                                   "iscsi.fsType: required value",
                                   "iscsi.lun: invalid value '256': must be between 0 and 255"]),
        ({"rbd": {}}, ["rbd.monitors: required value", "rbd.image: required value", "rbd.fsType: required value"]),
        ({"awsElasticBlockStore": {"volumeID": "v", "fsType": "x", "partition": 300}},
         ["awsElasticBlockStore.partition: invalid value '300': must be greater than 0 and less than 255"]),
        ({"downwardAPI": {"items": [{}]}},
         ["downwardAPI.items[0].path: required value", "downwardAPI.items[0].fieldRef: required value"]),
        ({"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "spec.nodeName"}}]}},
         ["downwardAPI.items[0].fieldRef.fieldPath: unsupported value 'spec.nodeName': supported values: "
          "metadata.annotations, metadata.labels, metadata.name, metadata.namespace, metadata.uid, "
          "metadata.annotations['KEY'], metadata.labels['KEY']"]),
    ],
    ids=str,
)  # fmt: skip
def test_refused(source: dict[str, Any], expected: list[str]) -> None:
    assert of_volume(**source) == expected


def test_a_faulty_volume_cannot_be_mounted() -> None:
    mounting = CONTAINER | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volumes = [{"name": "v", "secret": {}}]
    assert faults("Pod", spec={"containers": [mounting], "volumes": volumes}) == [
        "spec.volumes[0].source.secret.secretName: required value",
        "spec.containers[0].volumeMounts[0].name: not found 'v'",
    ]


def test_downward_files_take_the_api_version_by_default() -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    pod = read("Pod", spec={"containers": [CONTAINER], "volumes": [{"name": "v", "downwardAPI": {"items": items}}]})
    (volume,) = pod.spec.volumes
    assert codec.to_builtins(volume) == {
        "name": "v",
        "downwardAPI": {"items": [items[0] | {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}}]},
    }


def of_container(**members: Any) -> list[str]:
    found = faults("Pod", spec={"containers": [CONTAINER | members]})
    return [fault.removeprefix("spec.containers[0].") for fault in found]


@pytest.mark.parametrize(
    ("value_from", "expected"),
    [
        ({}, []),
        ({"secretKeyRef": {"name": "s", "key": "a"}}, []),
        ({"configMapKeyRef": {"name": "c", "key": "A_B", "optional": True}}, []),
        ({"secretKeyRef": {}}, ["env[0].valueFrom.secretKeyRef.name: required value",
                                "env[0].valueFrom.secretKeyRef.key: required value"]),
        ({"configMapKeyRef": {"name": "c", "key": "k"}, "secretKeyRef": {"name": "s", "key": "k"}},
         ["env[0].valueFrom: invalid value '': may not have more than one field specified at a time"]),
    ],
)  # fmt: skip
def test_values_from_elsewhere(value_from: dict[str, Any], expected: list[str]) -> None:
    assert of_container(env=[{"name": "X", "valueFrom": value_from}]) == expected


def test_a_value_from_elsewhere_has_no_value_beside_it() -> None:
    source = {"configMapKeyRef": {"name": "c", "key": "k"}}
    assert of_container(env=[{"name": "X", "value": "1", "valueFrom": source}]) == [
        "env[0].valueFrom: invalid value '': sources cannot be specified when value is not empty"
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"secretRef": {"name": "s"}, "prefix": "DB_"}, []),
        ({"configMapRef": {"name": "c", "optional": True}}, []),
        ({"secretRef": {}}, ["envFrom[0].secretRef.name: required value"]),
        ({}, ["envFrom[0]: invalid value '': must specify one of: `configMapRef` or `secretRef`"]),
        ({"secretRef": {"name": "s"}, "configMapRef": {"name": "c"}},
         ["envFrom[0]: invalid value '': may not have more than one field specified at a time"]),
    ],
)  # fmt: skip
def test_all_of_a_config_map(source: dict[str, Any], expected: list[str]) -> None:
    assert of_container(envFrom=[source]) == expected


def test_a_pod_template_is_checked_as_a_pod() -> None:
    spec = {"containers": [{"name": "c"}], "volumes": [{"name": "v", "gitRepo": {}}]}
    assert faults("PodTemplate", template={"metadata": {"labels": {"a": "-"}}, "spec": spec}) == [
        "template.labels: invalid value '-': must have at most 63 characters, matching regex "
        '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?: e.g. "MyValue" or ""',
        "template.spec.volumes[0].source.gitRepo.repository: required value",
        "template.spec.containers[0].image: required value",
    ]
    sound = read("PodTemplate", template={"spec": {"containers": [CONTAINER]}})
    assert sound.template.spec.restart_policy == "Always"
