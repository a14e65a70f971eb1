"""Rules for pods that came after 1.0, which did without them."""

from typing import Any

import pytest

from labkit.api.defaults import set_defaults
from labkit.api.names import DNS_SUBDOMAIN
from labkit.api.types import Container, Pod, PodSpec
from labkit.api.validation import pod
from labkit.api.validation.replication import status_update_faults
from tests.unit.api.reading import faults, read, update_faults

CONTAINER = {"name": "c", "image": "i"}


def of_container(**members: Any) -> list[str]:
    """Faults below `spec.containers[0]`."""
    volumes = [{"name": "v"}, {"name": "w"}]
    found = faults("Pod", spec={"containers": [CONTAINER | members], "volumes": volumes})
    return [fault.removeprefix("spec.containers[0].") for fault in found]


@pytest.mark.parametrize(
    ("limits", "requests", "expected"),
    [
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1000m"}, []),
        ({}, {"cpu": "64"}, []),
        ({"cpu": "100m"}, {"cpu": "0.2"},
         ["resources.limits[cpu]: invalid value '100m': limit cannot be smaller than request"]),
        ({"memory": "1G"}, {"memory": "1Gi", "cpu": "-1"},
         ["resources.limits[memory]: invalid value '1G': limit cannot be smaller than request",
          "resources.requests[cpu]: invalid value '-1': must be a valid resource quantity"]),
    ],
)  # fmt: skip
def test_nobody_asks_for_more_than_he_may_take(
    limits: dict[str, str], requests: dict[str, str], expected: list[str]
) -> None:
    assert of_container(resources={"limits": limits, "requests": requests}) == expected


def test_each_mount_has_a_path_of_its_own() -> None:
    mounts = [{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]
    assert of_container(volumeMounts=mounts) == ["volumeMounts[1].mountPath: invalid value '/a': must be unique"]


@pytest.mark.parametrize("field", ["serviceAccountName", "nodeName"])
def test_what_a_pod_names_can_be_a_name(field: str) -> None:
    assert faults("Pod", spec={"containers": [CONTAINER], field: "a.b-1"}) == []
    (fault,) = faults("Pod", spec={"containers": [CONTAINER], field: "../b"})
    assert fault == f"spec.{field}: invalid value '../b': {DNS_SUBDOMAIN.sentence}"


def test_counts_of_a_status_are_not_negative() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
    spec = {"selector": {"a": "b"}, "template": template}
    old = read("ReplicationController", spec=spec)
    assert update_faults(read("ReplicationController", spec=spec), old) == []
    new = read("ReplicationController", spec=spec, status={"replicas": 1, "observedGeneration": -1})
    new.metadata.resource_version = "5"
    assert [str(fault) for fault in status_update_faults(new, old)] == [
        "status.observedGeneration: invalid value '-1': must be non-negative"
    ]


def test_a_spec_that_was_faultless_is_not_looked_at_again_and_another_is() -> None:
    """Looking twice costs; what differs in one field is another spec, and what is long or old is forgotten."""
    pod._faultless.clear()
    spec = _spec()
    assert pod.spec_faults(spec, "spec") == []
    assert len(pod._faultless) == 1
    assert pod.spec_faults(spec, "spec") == []
    spec.containers[0].name = "Not a label"
    assert [fault.field for fault in pod.spec_faults(spec, "spec")] == ["spec.containers[0].name"]
    assert [fault.field for fault in pod.spec_faults(spec, "template.spec")] == ["template.spec.containers[0].name"]
    assert len(pod._faultless) == 1
    spec = _spec()
    spec.containers[0].command = ["x" * pod._LONGEST]
    assert pod.spec_faults(spec, "spec") == []
    assert len(pod._faultless) == 1
    for number in range(pod._REMEMBERED + 5):
        spec.containers[0].command = [str(number)]
        assert pod.spec_faults(spec, "spec") == []
    assert len(pod._faultless) == pod._REMEMBERED


def _spec() -> PodSpec:
    made = Pod(spec=PodSpec(containers=[Container(name="c", image="i")]))
    set_defaults(made)
    return made.spec
