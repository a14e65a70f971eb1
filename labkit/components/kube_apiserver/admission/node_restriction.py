"""NodeRestriction: a kubelet registers its own node and no other.

What the Node authorizer cannot see: the name of a new node is in the body, not in the path.
Source: the plug-in of this name of Kubernetes 1.7.
"""

from __future__ import annotations

from typing import Any

from labkit.api.types import Node
from labkit.components.kube_apiserver.admission.plugin import Asked, View, forbidden
from labkit.components.kube_apiserver.node_authorizer import GROUP, PREFIX


def admit(asked: Asked, view: View) -> Any:
    if asked.operation == "DELETE" or asked.kind.type is not Node or GROUP not in asked.user.groups:
        return asked.obj
    node = asked.user.name.removeprefix(PREFIX)
    if asked.obj.metadata.name != node:
        raise forbidden(asked, f'node "{node}" is not allowed to modify node "{asked.obj.metadata.name}"')
    return asked.obj
