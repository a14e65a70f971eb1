"""Which network the pods of a node have: spec.podCIDR, a /24 of the cluster's for each.

    --cluster-cidr=10.244.0.0/16     agent1 10.244.1.0/24 (told by its kubelet)    agent2 -> 10.244.0.0/24
                                                                                   agent3 -> 10.244.2.0/24

What a node has stays; of nodes without one the first by name gets the first that is free. Only with
--allocate-node-cidrs: whoever gives machines their networks himself, as `labkit up` does, has the kubelets tell of them
(--pod-cidr). Source: generateCIDRs and reconcileNodeCIDRs, pkg/cloudprovider/nodecontroller of Kubernetes 0.18.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network

from labkit.api.types import Node

PREFIX = 24


def allocate(nodes: Iterable[Node], cluster: IPv4Network) -> dict[str, str]:
    """The decision: a network for each node without one, by the node's name; "" when none is left."""
    nodes = sorted(nodes, key=lambda node: node.metadata.name)
    taken = {known for node in nodes if (known := _network(node.spec.pod_cidr)) is not None}
    free = (each for each in cluster.subnets(new_prefix=PREFIX) if not any(map(each.overlaps, taken)))
    return {node.metadata.name: str(next(free, "")) for node in nodes if not node.spec.pod_cidr}


def cluster_cidr(text: str) -> IPv4Network:
    """--cluster-cidr; ValueError when it has no room for one node."""
    network = _network(text)
    if network is None or network.prefixlen > PREFIX:
        raise ValueError(f"{text}: expected an IPv4 network of /{PREFIX} or larger, such as 10.244.0.0/16")
    return network


def _network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text) if text else None
    except ValueError:  # somebody wrote it, and nobody checks it
        return None
