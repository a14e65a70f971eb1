"""NamespaceLifecycle: nothing new in a namespace that is being deleted, and `default` is never deleted.

A namespace that does not exist is not its business but NamespaceExists'.
Source: plugin/pkg/admission/namespace/lifecycle of Kubernetes 1.0.
"""

from __future__ import annotations

from typing import Any

from labkit.api.types import Namespace
from labkit.components.kube_apiserver.admission.plugin import Asked, View, forbidden

IMMORTAL = ("default",)


def admit(asked: Asked, view: View) -> Any:
    if asked.operation == "DELETE" and asked.kind.type is Namespace and asked.name in IMMORTAL:
        raise forbidden(asked, "namespace can never be deleted")
    if asked.operation == "CREATE" and asked.kind.namespaced:
        namespace = view.get(Namespace, asked.namespace)
        if namespace is not None and namespace.status.phase == "Terminating":
            why = f"Unable to create new content in namespace {asked.namespace} because it is being terminated."
            raise forbidden(asked, why)
    return asked.obj
