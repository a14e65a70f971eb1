"""A network for the pods of each node, with literals."""

from ipaddress import IPv4Network

import pytest

from labkit.api.types import Node, NodeSpec, ObjectMeta
from labkit.components.kube_controller_manager.main import arguments
from labkit.components.kube_controller_manager.pod_cidrs import allocate

CLUSTER = IPv4Network("10.244.0.0/16")


def node(name: str, cidr: str = "") -> Node:
    return Node(metadata=ObjectMeta(name=name), spec=NodeSpec(pod_cidr=cidr))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], {}),
        ([node("b"), node("a")], {"a": "10.244.0.0/24", "b": "10.244.1.0/24"}),
        ([node("a", "10.244.7.0/24")], {}),  # what it has stays
        ([node("a"), node("b", "10.244.0.0/24"), node("c")], {"a": "10.244.1.0/24", "c": "10.244.2.0/24"}),
        ([node("a"), node("b", "10.244.0.0/23")], {"a": "10.244.2.0/24"}),  # of somebody's own making
        ([node("a"), node("b", "nonsense"), node("c", "192.168.0.0/24")], {"a": "10.244.0.0/24"}),
    ],
)
def test_the_first_free_one_for_each_that_has_none(nodes: list[Node], expected: dict[str, str]) -> None:
    assert allocate(nodes, CLUSTER) == expected


def test_when_none_is_left() -> None:
    nodes = [node("a"), node("b"), node("c")]
    assert allocate(nodes, IPv4Network("10.0.0.0/23")) == {"a": "10.0.0.0/24", "b": "10.0.1.0/24", "c": ""}


@pytest.mark.parametrize("wrong", ["10.244.0.0/25", "10.244.0.1/16", "ten", ""])
def test_a_wrong_cluster_cidr_is_named(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments().parse_args(["--kubeconfig=x", f"--cluster-cidr={wrong}"])
    assert f"argument --cluster-cidr: {wrong}: expected an IPv4 network of /24" in capsys.readouterr().err
