"""LimitRange, ResourceQuota."""

from typing import Any

import pytest

from labkit.api import codec
from labkit.api.errors import BadRequest
from tests.unit.api.reading import faults, read, update_faults


def test_amounts_are_written_in_one_way() -> None:
    limits = read(
        "LimitRange", spec={"limits": [{"type": "Container", "max": {"cpu": 0.5}, "min": {"memory": "1024Mi"}}]}
    )
    assert codec.to_builtins(limits)["spec"]["limits"][0] == {
        "type": "Container", "max": {"cpu": "500m"}, "min": {"memory": "1Gi"},
    }  # fmt: skip
    assert read("ResourceQuota", spec={"hard": {"pods": 10, "cpu": "2000m"}}).spec.hard == {"pods": "10", "cpu": "2"}


def test_what_is_no_amount_is_a_bad_request() -> None:
    with pytest.raises(
        BadRequest, match="ResourceQuota in version v1 cannot be handled as a ResourceQuota: quantities"
    ):
        read("ResourceQuota", spec={"hard": {"pods": "many"}})


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], []),
        ([{"type": "Pod", "max": {"cpu": "1"}}, {"type": "Container", "default": {"cpu": "1"}}], []),
        ([{"type": "Pod"}, {"type": "Pod"}], ["spec.limits[1].type: duplicate value 'Pod'"]),
        ([{"max": {"cpu": "1"}}], ["spec.limits[0].type: required value"]),
        (
            [{"type": "Pod", "default": {"cpu": "1"}}],
            ["spec.limits[0].default: invalid value 'map[cpu:1]': default is not supported when limit type is Pod"],
        ),
        (
            [{"type": "pod"}, {"type": "example.com/Thing"}],
            ["spec.limits[0].type: unsupported value 'pod': supported values: Container, Pod, PersistentVolumeClaim"],
        ),
        (
            [{"type": "Container", "max": {"colour": "1"}}],
            ["spec.limits[0].max[colour]: invalid value 'colour': is neither a standard resource type nor is fully "
             "qualified"],
        ),
        ([{"type": "Container", "max": {"example.com/colour": "1"}}], []),
        (
            [{"type": "Container", "min": {"cpu": "600m"}, "max": {"cpu": "500m"}}],
            ["spec.limits[0].min[cpu]: invalid value '600m': min value 600m is greater than max value 500m"],
        ),
        (
            [{"type": "Container", "default": {"memory": "1Gi"}, "max": {"memory": "512Mi"}}],
            ["spec.limits[0].default[memory]: invalid value '1Gi': default value 1Gi is greater than max value 512Mi"],
        ),
        (
            [{"type": "Container", "defaultRequest": {"cpu": "2"}, "default": {"cpu": "1"}, "min": {"cpu": "1"}}],
            ["spec.limits[0].defaultRequest[cpu]: invalid value '2': default request value 2 is greater than default "
             "value 1"],
        ),
        ([{"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "1000m"}}], []),
    ],
)  # fmt: skip
def test_limit_ranges(limits: list[dict[str, Any]], expected: list[str]) -> None:
    assert faults("LimitRange", spec={"limits": limits}) == expected


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        ({"cpu": "20", "memory": "1Gi", "pods": "10", "services": "5", "replicationcontrollers": "20",
          "resourcequotas": "1", "secrets": "10", "persistentvolumeclaims": "4"}, []),
        ({"example.com/gpus": "2"}, []),
        ({"pods": "1500m", "cpu": "1500m"}, ["spec.hard[pods]: invalid value '1500m': must be an integer"]),
        ({"pods": "-1"}, ["spec.hard[pods]: invalid value '-1': must be a valid resource quantity"]),
        ({"colours": "1"}, ["spec.hard[colours]: invalid value 'colours': is neither a standard resource type nor is "
                            "fully qualified"]),
    ],
)  # fmt: skip
def test_quotas(hard: dict[str, str], expected: list[str]) -> None:
    assert faults("ResourceQuota", spec={"hard": hard}) == expected
    changed = read("ResourceQuota", spec={"hard": hard})
    assert update_faults(changed, read("ResourceQuota")) == expected
