"""NodeRestriction: a kubelet registers its own node and no other, and makes no pods but mirrors of its static ones.

What the Node authorizer cannot see: the name of a new node, or to which one a pod is bound, is in the body and not in
the path. A mirror may refer to nothing: else its kubelet could read any secret by naming it there.
Source: the plug-in of this name of Kubernetes 1.7.
"""

from __future__ import annotations

from typing import Any

from labkit.api.types import Node, Pod
from labkit.components.kube_apiserver.admission.plugin import Asked, View, forbidden
from labkit.components.kube_apiserver.node_authorizer import GROUP, MIRROR, PREFIX, references


def admit(asked: Asked, view: View) -> Any:
    if asked.operation == "DELETE" or asked.kind.type not in (Node, Pod) or GROUP not in asked.user.groups:
        return asked.obj
    node = asked.user.name.removeprefix(PREFIX)
    if asked.kind.type is Pod:
        return asked.obj if asked.operation != "CREATE" else _mirror(asked, node)
    if asked.obj.metadata.name != node:
        raise forbidden(asked, f'node "{node}" is not allowed to modify node "{asked.obj.metadata.name}"')
    return asked.obj


def _mirror(asked: Asked, node: str) -> Any:
    pod: Pod = asked.obj
    if MIRROR not in pod.metadata.annotations:
        raise forbidden(asked, f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods')
    if pod.spec.node_name != node:
        raise forbidden(asked, f'node "{node}" can only create pods with spec.nodeName set to itself')
    if told := next(references(pod), None):
        raise forbidden(asked, f'node "{node}" can not create pods that reference {told[0]} ("{told[1]}")')
    return pod
