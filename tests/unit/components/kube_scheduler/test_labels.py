"""The predicates and priorities that a policy file makes to measure."""

import pytest

from labkit.api.types import Node, ObjectMeta, Pod, PodSpec, Service, ServiceSpec
from labkit.components.kube_scheduler.labels import (
    label_preference,
    labels_presence,
    service_affinity,
    service_anti_affinity,
)
from labkit.components.kube_scheduler.node_info import NodeInfo
from labkit.components.kube_scheduler.view import View

WEB = {"app": "web"}
NODES = {
    name: Node(metadata=ObjectMeta(name=name, labels=labels))
    for name, labels in {
        "a1": {"zone": "a", "ssd": ""}, "a2": {"zone": "a"}, "b1": {"zone": "b"}, "bare": {}
    }.items()
}  # fmt: skip


def pod(name: str, labels: dict[str, str] | None = None, **selector: str) -> Pod:
    meta = ObjectMeta(name=name, namespace="default", uid=name, labels=labels or {})
    return Pod(metadata=meta, spec=PodSpec(node_selector=selector))


def view(**placed: list[Pod]) -> View:
    service = Service(metadata=ObjectMeta(name="web", namespace="default"), spec=ServiceSpec(selector=WEB))
    return View(NODES, {name: NodeInfo(pods) for name, pods in placed.items()}, [service])


@pytest.mark.parametrize(
    ("labels", "presence", "fitting"),
    [
        (["zone"], True, ["a1", "a2", "b1"]),
        (["zone", "ssd"], True, ["a1"]),
        (["ssd"], False, ["a2", "b1", "bare"]),
        (["zone", "ssd"], False, ["bare"]),
    ],
)
def test_labels_presence(labels: list[str], presence: bool, fitting: list[str]) -> None:
    fits = labels_presence(labels, presence)
    assert [name for name, node in NODES.items() if fits(pod("p"), node, view())] == fitting


@pytest.mark.parametrize(
    ("asking", "there", "fitting"),
    [
        (pod("p", WEB), {}, ["a1", "a2", "b1", "bare"]),  # the first of its service may go anywhere
        (pod("p", WEB), {"a1": [pod("q", WEB)]}, ["a1", "a2"]),
        (pod("p", WEB), {"a1": [pod("r", WEB)], "b1": [pod("q", WEB)]}, ["b1"]),  # q comes before r
        (pod("p", WEB), {"bare": [pod("q", WEB)]}, ["a1", "a2", "b1", "bare"]),  # its node has no zone
        (pod("p"), {"a1": [pod("q", WEB)]}, ["a1", "a2", "b1", "bare"]),  # of no service
        (pod("p", WEB, zone="b"), {"a1": [pod("q", WEB)]}, ["b1"]),  # the pod's own word counts first
    ],
)
def test_service_affinity(asking: Pod, there: dict[str, list[Pod]], fitting: list[str]) -> None:
    fits = service_affinity(["zone"])
    assert [name for name, node in NODES.items() if fits(asking, node, view(**there))] == fitting


def test_service_anti_affinity() -> None:
    prioritize, nodes = service_anti_affinity("zone"), list(NODES.values())
    there = view(a1=[pod("q", WEB)], a2=[pod("r", WEB), pod("other")], b1=[pod("s", WEB)])
    assert prioritize(pod("p", WEB), nodes, there) == {"a1": 3, "a2": 3, "b1": 6, "bare": 0}
    assert prioritize(pod("p"), nodes, there) == {"a1": 10, "a2": 10, "b1": 10, "bare": 0}


def test_label_preference() -> None:
    nodes = list(NODES.values())
    assert label_preference("ssd", True)(pod("p"), nodes, view()) == {"a1": 10, "a2": 0, "b1": 0, "bare": 0}
    assert label_preference("ssd", False)(pod("p"), nodes, view()) == {"a1": 0, "a2": 10, "b1": 10, "bare": 10}
