"""The predicates: can this pod run on that node at all?

Each is a function `(pod, node, view) -> bool`, registered under the name that Kubernetes gave it; `view.on(node)` is
what runs there already. To add one without touching this file see plugins.py; which of them count says a policy file
(policy.py), where those of labels.py can be had too.
Source: plugin/pkg/scheduler/algorithm/predicates of Kubernetes 0.18 and 1.0.
"""

from collections.abc import Callable

from labkit.api.quantity import value
from labkit.api.types import Node, Pod, Volume
from labkit.components.kube_scheduler.node_info import capacity, host_ports, limits
from labkit.components.kube_scheduler.view import View

Predicate = Callable[[Pod, Node, View], bool]


def pod_fits_ports(pod: Pod, node: Node, view: View) -> bool:
    """No pod on the node has one of the host ports that this one asks for."""
    wanted = set(host_ports(pod))
    return not wanted or not any(port in wanted for other in view.on(node).pods for port in host_ports(other))


def pod_fits_resources(pod: Pod, node: Node, view: View) -> bool:
    """The limits of all pods, this one included, stay within the node's capacity, and so does their number.

    A capacity of 0 stands for a resource that the node does not count.
    """
    on_node = view.on(node)
    if len(on_node) + 1 > value(node.status.capacity.get("pods", 0)):
        return False
    wanted, there = limits(pod), capacity(node)
    if wanted.milli_cpu == 0 and wanted.memory == 0:
        return True
    total = on_node.limits.plus(wanted)
    return (not there.milli_cpu or total.milli_cpu <= there.milli_cpu) and (
        not there.memory or total.memory <= there.memory
    )


def no_disk_conflict(pod: Pod, node: Node, view: View) -> bool:
    """A Google disk is mounted by one pod of the node, or by several that all only read it; an Amazon disk by one."""
    wanted = [volume for volume in pod.spec.volumes if volume.gce_persistent_disk or volume.aws_elastic_block_store]
    return not wanted or not any(
        _same_disk(mine, theirs) for other in view.on(node).pods for theirs in other.spec.volumes for mine in wanted
    )


def _same_disk(mine: Volume, theirs: Volume) -> bool:
    google, other_google = mine.gce_persistent_disk, theirs.gce_persistent_disk
    if google and other_google and google.pd_name == other_google.pd_name:
        return not (google.read_only and other_google.read_only)
    amazon, other_amazon = mine.aws_elastic_block_store, theirs.aws_elastic_block_store
    return bool(amazon and other_amazon and amazon.volume_id == other_amazon.volume_id)


def match_node_selector(pod: Pod, node: Node, view: View) -> bool:
    """The node has every label of the pod's nodeSelector."""
    return pod.spec.node_selector.items() <= node.metadata.labels.items()


def host_name(pod: Pod, node: Node, view: View) -> bool:
    """The pod asks for no node by name, or for this one."""
    return not pod.spec.node_name or pod.spec.node_name == node.metadata.name


PREDICATES: dict[str, Predicate] = {
    "PodFitsPorts": pod_fits_ports,
    "PodFitsResources": pod_fits_resources,
    "NoDiskConflict": no_disk_conflict,
    "MatchNodeSelector": match_node_selector,
    "HostName": host_name,
}
