"""What `labkit up` thinks of the nodes that it finds in the API."""

from labkit import cluster as clusters
from labkit.api.types import Node, NodeAddress, NodeStatus, ObjectMeta
from labkit.provision.up import Outcome, forsaken

CLUSTER = clusters.fresh("lab", "10.245.1.0/24")


def node(name: str, *addresses: str) -> Node:
    known = [NodeAddress(type="InternalIP", address=address) for address in addresses]
    return Node(metadata=ObjectMeta(name=name), status=NodeStatus(addresses=known))


def test_a_node_whose_machine_was_removed_is_forsaken() -> None:
    nodes = [node("agent1", "10.245.1.12"), node("agent3", "agent3", "10.245.1.14")]
    assert forsaken(CLUSTER, nodes) == ["agent3"]


def test_nodes_from_elsewhere_and_without_an_address_are_left_alone() -> None:
    assert forsaken(CLUSTER, [node("hollow1", "127.0.0.1"), node("new"), node("other", "10.245.2.12")]) == []


def test_a_run_did_nothing_only_when_it_booted_changed_and_repaired_nothing() -> None:
    assert Outcome(booted=False, actions=0).nothing_to_do
    assert not Outcome(booted=True, actions=0).nothing_to_do
    assert not Outcome(booted=False, actions=1).nothing_to_do
    assert not Outcome(booted=False, actions=0, repaired=["service kube-dns"]).nothing_to_do
