"""Documents as sets of fields, and fields as a tree."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api.errors import BadRequest
from labkit.api.ownership.paths import from_fields, paths_of, spoken, to_fields
from labkit.api.types import Pod, ReplicationController, Service

CONTAINER = {
    "name": "c",
    "image": "redis",
    "args": ["-a", "-b"],
    "ports": [{"containerPort": 80}],
    "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    "resources": {},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "n", "uid": "1", "labels": {"a.b/c": "x"}, "finalizers": ["f"]},
    "spec": {"containers": [CONTAINER], "nodeSelector": {"disk": "ssd"}, "restartPolicy": None},
}


def test_each_member_each_element_and_whole_values() -> None:
    assert sorted(map(spoken, paths_of(POD, Pod))) == [
        '.metadata.finalizers[="f"]',
        ".metadata.labels.a.b/c",
        '.spec.containers[name="c"]',
        '.spec.containers[name="c"].args',
        '.spec.containers[name="c"].env[name="A"]',
        '.spec.containers[name="c"].env[name="A"].name',
        '.spec.containers[name="c"].env[name="A"].valueFrom.fieldRef',
        '.spec.containers[name="c"].image',
        '.spec.containers[name="c"].name',
        '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]',
        '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].containerPort',
        '.spec.containers[name="c"].resources',
        ".spec.nodeSelector",
    ]


def test_as_upstream_writes_it() -> None:
    service = {"spec": {"ports": [{"port": 80, "protocol": "UDP"}], "selector": {"a": "b"}}}
    assert to_fields(paths_of(service, Service)) == {
        "f:spec": {
            "f:ports": {'k:{"port":80,"protocol":"UDP"}': {".": {}, "f:port": {}, "f:protocol": {}}},
            "f:selector": {},
        }
    }


def test_there_and_back() -> None:
    paths = paths_of(POD, Pod)
    assert frozenset(from_fields(to_fields(paths))) == paths


steps = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])


@given(st.frozensets(st.lists(steps, min_size=1, max_size=4).map(tuple), max_size=8))
def test_any_fields_there_and_back(paths: frozenset[tuple[str, ...]]) -> None:
    assert frozenset(from_fields(to_fields(paths))) == paths


@pytest.mark.parametrize("tree", [{"spec": {}}, {"f:spec": 1}, {"f:spec": {"x": {}}}, {"f:a": {"f:b": []}}])
def test_what_is_no_tree_of_fields(tree: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match=r"metadata\.managedFields"):
        list(from_fields(tree))


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        ([{"image": "x"}], r"\.spec\.template\.spec\.containers: element 0 omits name"),
        ([{"name": "c"}, {"name": "c"}], r'containers\[name="c"\]: there are two of it'),
        (["c"], "element 0 is not an object"),
    ],
)
def test_elements_that_cannot_be_told_apart(containers: list[Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        paths_of({"spec": {"template": {"spec": {"containers": containers}}}}, ReplicationController)
