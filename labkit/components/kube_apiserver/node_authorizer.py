"""May this kubelet? Each node gets at what is its own, and at nothing of the other nodes.

    system:node:agent1   writes   nodes/agent1 and its status; the status of pods bound to agent1, and deletes them;
     (system:nodes)               events; mirrors of its static pods
                         reads    nodes, pods, services, endpoints, persistent volumes;
                                  a secret, config map or claim only when a pod bound to agent1 refers to it

A kubelet that is taken over then costs one machine, not the cluster. Source: the Node authorizer of Kubernetes 1.7 and
its NodeRestriction; the originals of 2015 had neither and let every kubelet write every node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from labkit.api.types import Pod
from labkit.components.kube_apiserver.authz import READING, Attributes

GROUP = "system:nodes"
PREFIX = "system:node:"
MIRROR = "kubernetes.io/config.mirror"
"""The annotation of a pod that is only the picture of one that a kubelet runs by itself."""
_READABLE = frozenset(("nodes", "pods", "services", "endpoints", "persistentvolumes"))
_REFERRED = frozenset(("secrets", "configmaps", "persistentvolumeclaims"))
_CHANGING = frozenset(("update", "patch"))

PodsOf = Callable[[str, str, str], Sequence[Pod]]
"""(node, namespace, name) -> the pods of the namespace that are bound to the node; with a name, only that one."""


def allows(wish: Attributes, pods_of: PodsOf) -> bool:
    """The decision; nobody but a node is allowed anything."""
    node = node_of(wish)
    if not node:
        return False
    if wish.verb in READING and wish.resource in _READABLE:
        return True
    if wish.resource in ("nodes", "nodes/status"):
        # The name of a node that is created is in the body: the plug-in NodeRestriction looks at it.
        return (wish.name == node and wish.verb in _CHANGING) or (wish.resource, wish.verb) == ("nodes", "create")
    if (wish.resource, wish.verb) == ("pods", "create"):
        return True  # mirrors of its static pods, and nothing else: NodeRestriction looks into the body
    if wish.resource == "events":
        return wish.verb == "create" or wish.verb in _CHANGING
    if (wish.resource == "pods/status" and wish.verb in _CHANGING) or (wish.resource, wish.verb) == ("pods", "delete"):
        return bool(pods_of(node, wish.namespace, wish.name))
    if wish.resource in _REFERRED and wish.verb == "get":
        pods = pods_of(node, wish.namespace, "")
        return any((wish.resource, wish.name) in set(references(pod)) for pod in pods)
    return False


def node_of(wish: Attributes) -> str:
    """`agent1` for user system:node:agent1 of group system:nodes, else ""."""
    if GROUP not in wish.user.groups or not wish.user.name.startswith(PREFIX):
        return ""
    return wish.user.name[len(PREFIX) :]


def references(pod: Pod) -> Iterator[tuple[str, str]]:
    """(resource, name) of everything that the pod's kubelet must read for it."""
    for secret in pod.spec.image_pull_secrets:
        yield "secrets", secret.name
    for volume in pod.spec.volumes:
        if volume.secret:
            yield "secrets", volume.secret.secret_name
        if volume.config_map:
            yield "configmaps", volume.config_map.name
        if volume.persistent_volume_claim:
            yield "persistentvolumeclaims", volume.persistent_volume_claim.claim_name
    for container in pod.spec.containers:
        for source in [one.value_from for one in container.env if one.value_from]:
            if source.secret_key_ref:
                yield "secrets", source.secret_key_ref.name
            if source.config_map_key_ref:
                yield "configmaps", source.config_map_key_ref.name
        for all_of in container.env_from:
            if all_of.secret_ref:
                yield "secrets", all_of.secret_ref.name
            if all_of.config_map_ref:
                yield "configmaps", all_of.config_map_ref.name
