"""Times and amounts, wherever they are in an object."""

import json
from typing import Any

import pytest

from labkit.api import codec
from labkit.api.errors import BadRequest
from labkit.api.types import Event, LimitRange, Node, Pod
from labkit.api.types.metadata import AnyObject


def decoded(what: type[AnyObject], **members: Any) -> AnyObject:
    return codec.decode(json.dumps({"kind": what.KIND, "apiVersion": "v1", **members}).encode(), what)


def test_are_written_in_one_way() -> None:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2015-06-05T14:00:00+02:00"}
    node = decoded(Node, status={"capacity": {"cpu": 0.5, "pods": 0}, "conditions": [condition]})
    assert node.status.capacity == {"cpu": "500m", "pods": "0"}
    assert node.status.conditions[0].last_transition_time == "2015-06-05T12:00:00Z"
    assert decoded(Event, firstTimestamp="0001-01-01T00:00:00Z").first_timestamp is None


@pytest.mark.parametrize(
    ("what", "members", "field"),
    [
        (Event, {"firstTimestamp": "now"}, "firstTimestamp"),
        (Pod, {"metadata": {"name": "p", "deletionTimestamp": ""}}, "metadata.deletionTimestamp"),
        (Pod, {"status": {"conditions": [{}, {"lastProbeTime": "x"}]}}, "status.conditions[1].lastProbeTime"),
        (
            Pod, {"status": {"containerStatuses": [{"name": "c", "state": {"running": {"startedAt": "2015"}}}]}},
            "status.containerStatuses[0].state.running.startedAt",
        ),
        (
            Pod, {"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}},
            "spec.containers[0].resources.limits[cpu]",
        ),
        (LimitRange, {"spec": {"limits": [{"max": {"cpu": ""}}]}}, "spec.limits[0].max[cpu]"),
    ],
)  # fmt: skip
def test_what_is_none_is_a_bad_request_that_names_the_field(
    what: type[AnyObject], members: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadRequest) as raised:
        decoded(what, **members)
    assert raised.value.message.startswith(f"{what.KIND} in version v1 cannot be handled as a {what.KIND}: ")
    assert raised.value.message.endswith(f" (field {field})")
